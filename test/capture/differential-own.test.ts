/** The differential suite on a client of one's own: see `differential.ts`. Without `OWN_CLIENT`, on the example of one. */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type OpenAI from "openai";
import { differentialSuite, type Skip } from "./differential.ts";
import type { ClientSettings } from "./differential-checks.ts";

interface OwnClient {
  readonly default: (settings: ClientSettings) => unknown;
  readonly skip?: Skip;
}

const example = resolve(import.meta.dirname, "../fixtures/own-client.ts");
const file = resolve(process.env["OWN_CLIENT"] ?? example);
const own: OwnClient = await import(pathToFileURL(file).href);
// What a client does not have of this type is skipped.
differentialSuite(file, (settings) => own.default(settings) as OpenAI, own.skip);
