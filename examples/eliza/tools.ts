import { type ChatMessage, type ChatRequest, RequestError, type Tool, type ToolCall, textOf } from "./request.ts";

/** What makes ELIZA reach for a tool: it asks for what a tool's name or description speaks of. */
const TOPICS: readonly { readonly asked: RegExp; readonly offered: RegExp }[] = [
  { asked: /\b(what time|the time|clock|what day|today's date|the date)\b/i, offered: /time|clock|date/i },
  { asked: /\b(weather|rain|raining|sunny|temperature|forecast)\b/i, offered: /weather|forecast|temperature/i },
];

type CalledTool = Pick<ToolCall["function"], "name" | "arguments">;

/** The tools to call before answering: none, when the last word is not the user's or no offered tool helps. */
export function chooseTools(request: ChatRequest): CalledTool[] {
  const { tools = [], tool_choice: choice = "auto", messages } = request;
  const last = messages.at(-1);
  if (last?.role !== "user" || choice === "none") return [];
  const text = textOf(last);
  const call = (tool: Tool): CalledTool => ({
    name: tool.function.name,
    arguments: JSON.stringify(readArguments(tool, text)),
  });
  if (typeof choice === "object") return [call(findTool(tools, choice.function.name))];
  const fitting = TOPICS.filter(({ asked }) => asked.test(text)).flatMap(
    ({ offered }) =>
      tools.find((tool) => offered.test(`${tool.function.name} ${tool.function.description ?? ""}`)) ?? [],
  );
  if (fitting.length > 0) return [...new Set(fitting)].map(call);
  return choice === "required" ? tools.slice(0, 1).map(call) : [];
}

function findTool(tools: readonly Tool[], name: string): Tool {
  const tool = tools.find((candidate) => candidate.function.name === name);
  if (tool) return tool;
  throw new RequestError(400, `Tool choice '${name}' is not among 'tools'.`, {
    param: "tool_choice",
    code: "invalid_value",
  });
}

/** Every text parameter gets the place that was named ("… in Paris"), as far as one was. */
function readArguments(tool: Tool, text: string): Record<string, string> {
  const place = /\b(?:in|at|for) (\p{Lu}[\p{L}'-]*(?: \p{Lu}[\p{L}'-]*)*)/u.exec(text)?.[1];
  const names = Object.keys(tool.function.parameters?.properties ?? {});
  return place === undefined ? {} : Object.fromEntries(names.slice(0, 1).map((name) => [name, place]));
}

/** What the tools said since the user last spoke, or undefined when the user spoke last. */
export function toolResults(messages: readonly ChatMessage[]): string | undefined {
  const sinceUser = messages.slice(messages.findLastIndex(({ role }) => role === "user") + 1);
  const results = sinceUser.filter(({ role }) => role === "tool").map(textOf);
  return results.length === 0 ? undefined : `I am told: ${results.join("; ")}. Why does that matter to you just now?`;
}
