/** A few traces as they come in, stored by the endpoint itself. */
import { createEndpoint, fileStore, type KeyLayout } from "../../src/endpoint/index.ts";
import { toCallMessage } from "../../src/transcript.ts";

const weather = { id: "call_1", type: "function", function: { name: "get_weather", arguments: '{"city":"Paris"}' } };
const question = { role: "user", content: "What is the weather in Paris?" };
const answer = { role: "assistant", content: "Clear, 21 degrees." };
const DAY_1 = 1_714_857_600; // 2024-05-04T21:20:00Z
const DAY_2 = DAY_1 + 86_400;

export const SOME_TRACES = [
  {
    ...{ id: "list", model: "gpt-5", created: DAY_1, messages: [question, answer] },
    choices: [{ index: 0, finish_reason: "stop", message: answer }],
    usage: { prompt_tokens: 12, completion_tokens: 6, total_tokens: 18 },
  },
  {
    ...{ id: "object", model: "gpt-5", created: DAY_1 + 60, messages: [question, answer] },
    choices: {
      0: { index: 0, finish_reason: "tool_calls", message: { role: "assistant", tool_calls: [weather] } },
      1: { index: 1, finish_reason: "length", message: answer },
    },
    usage: { input_tokens: 30, output_tokens: 20 },
  },
  {
    id: "by-hand",
    model: "olmo-2",
    created: DAY_1,
    messages: [question, { ...answer, content: "It rains. ".repeat(9) }],
  },
  {
    ...{ id: "aborted", model: "gpt-5", created: DAY_2 },
    messages: [question, toCallMessage({ ended: "aborted" })],
    choices: [],
    usage: { inputTokens: { total: 9, noCache: 9 }, outputTokens: { total: 2 } }, // as the AI SDK tells it
  },
];

/** How they are stored. */
export interface Storing {
  readonly layout?: KeyLayout;
  readonly packed?: boolean;
}

/** Store them under a folder. Rejects when the endpoint refuses one. */
export async function storeSomeTraces(
  folder: string,
  { layout = "contract", packed = false }: Storing = {},
): Promise<void> {
  const endpoint = createEndpoint({ store: fileStore(folder, { packed }), layout });
  for (const trace of SOME_TRACES) {
    const headers = { "content-type": "application/json" };
    const response = await endpoint(
      new Request("http://localhost/", { method: "POST", headers, body: JSON.stringify(trace) }),
    );
    if (!response.ok) throw new Error(`not stored: ${response.status} ${await response.text()}`);
  }
}
