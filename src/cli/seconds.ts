/** A number of seconds on the command line. */
import { InvalidArgumentError } from "commander";

export function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || !Number.isFinite(seconds))
    throw new InvalidArgumentError("It must be a number of seconds from 0, such as 60 or 0.5.");
  return seconds;
}
