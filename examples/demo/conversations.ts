/** The conversations of the demo: an application like any other, which does not know that its client is wrapped. */
import type OpenAI from "openai";

/** The application's side: its client, its model and where it writes. */
export interface Talk {
  readonly client: OpenAI;
  readonly model: string;
  write(text: string): void;
}

export interface Conversation {
  readonly title: string;
  readonly run: (talk: Talk) => Promise<void>;
}

const user = (content: string): OpenAI.ChatCompletionUserMessageParam => ({ role: "user", content });

export const conversations: readonly Conversation[] = [
  { title: "A plain question", run: plain },
  { title: "Several turns", run: severalTurns },
  { title: "Streamed", run: streamed },
  { title: "Two answers to choose from (n = 2)", run: twoChoices },
  { title: "With a tool (runTools)", run: withTool },
  { title: "A stream that is left early (break)", run: leftEarly },
];

async function plain({ client, model, write }: Talk): Promise<void> {
  const messages = [user("Nobody listens to me.")];
  const completion = await client.chat.completions.create({ model, messages });
  tell(write, messages, completion.choices[0]?.message.content);
}

async function severalTurns({ client, model, write }: Talk): Promise<void> {
  const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: "system", content: "Be a patient listener." }];
  for (const said of ["I'm unhappy these days.", "My mother worries about me.", "Hm. 🤔"]) {
    messages.push(user(said));
    const completion = await client.chat.completions.create({ model, messages });
    const answer = completion.choices[0]?.message.content ?? "";
    messages.push({ role: "assistant", content: answer });
    tell(write, [user(said)], answer);
  }
}

async function streamed({ client, model, write }: Talk): Promise<void> {
  const messages = [user("I remember the smell of the sea.")];
  tell(write, messages);
  const stream = await client.chat.completions.create({
    model,
    messages,
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const chunk of stream) write(chunk.choices[0]?.delta.content ?? "");
  write("\n");
}

async function twoChoices({ client, model, write }: Talk): Promise<void> {
  const messages = [user("I need a holiday.")];
  const { choices } = await client.chat.completions.create({ model, messages, n: 2 });
  tell(write, messages, choices.map(({ message }) => message.content).join("\n    or: "));
}

async function withTool({ client, model, write }: Talk): Promise<void> {
  const messages = [user("What is the weather in Cambridge?")];
  const runner = client.chat.completions.runTools({
    model,
    messages,
    tools: [
      {
        type: "function",
        function: {
          name: "get_weather",
          description: "The weather at a place, now.",
          parameters: { type: "object", properties: { place: { type: "string" } }, required: ["place"] },
          function: weatherAt,
        },
      },
    ],
  });
  tell(write, messages, await runner.finalContent());
}

function weatherAt(json: string): string {
  return `drizzle, 11 °C, for ${json}`;
}

async function leftEarly({ client, model, write }: Talk): Promise<void> {
  const messages = [user("Tell me everything you know.")];
  tell(write, messages);
  const stream = await client.chat.completions.create({ model, messages, stream: true });
  let heard = "";
  for await (const chunk of stream) {
    heard += chunk.choices[0]?.delta.content ?? "";
    if (heard.includes(" ")) break;
  }
  write(`${heard} … (enough)\n`);
}

function tell(write: Talk["write"], messages: readonly { content: unknown }[], answer?: string | null): void {
  for (const { content } of messages) write(`  you: ${content}\n`);
  write(answer === undefined ? "  it:  " : `  it:  ${answer}\n`);
}
