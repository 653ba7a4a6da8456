import type { TraceMessage } from "./trace.ts";
export function sayChoices(messages: TraceMessage[], _choices: unknown): TraceMessage[] {
  return messages;
}
