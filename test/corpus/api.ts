import type OpenAI from "openai";
import type { JsonObject } from "./json.ts";
import type { Recording } from "./recordings.ts";
import type { Utterance } from "./said.ts";

/** One of the APIs that recordings are made of: how to replay it, and what must be stored. */
export interface Api {
  /** Make the recorded call. Gives back the result, or the stream when it is one. */
  call(client: OpenAI, recording: Recording): Promise<unknown>;
  /** The conversation, in order: what the request said, then every choice. */
  utterances(recording: Recording): Utterance[];
  /** Did `choices` come? */
  hasChoices(recording: Recording): boolean;
  /** Did everything come to its end? Of other calls it may be told either way: their caller saw no failure. */
  isComplete(recording: Recording): boolean;
  /** What is wrong with `choices`, `usage` and `model` of the stored trace. */
  checkAnswer(trace: JsonObject, recording: Recording): string[];
}
