import OpenAI from "openai";
import { startEliza } from "../eliza/server.ts";

/** Who answers in the demo. */
export interface Provider extends AsyncDisposable {
  readonly client: OpenAI;
  readonly model: string;
  /** For the first line of what is printed. */
  readonly description: string;
}

/** Slow enough that a stream can be watched, and left before its end. */
const ELIZA_PAUSE_MS = 15;
const DEFAULT_MODEL = "gpt-4o-mini";

/**
 * The provider that `OPENAI_API_KEY` or `OPENAI_BASE_URL` point to, with `OPENAI_MODEL`. Without them ELIZA answers,
 * on loopback: nothing leaves this machine.
 */
export async function chooseProvider(env: NodeJS.ProcessEnv): Promise<Provider> {
  const { OPENAI_API_KEY: apiKey, OPENAI_BASE_URL: baseURL, OPENAI_MODEL: model } = env;
  if (!apiKey && !baseURL) return eliza();
  const client = new OpenAI({ apiKey: apiKey || "none", baseURL: baseURL || null });
  return {
    client,
    model: model || DEFAULT_MODEL,
    description: `${model || DEFAULT_MODEL} at ${new URL(client.baseURL).origin}`,
    async [Symbol.asyncDispose]() {},
  };
}

async function eliza(): Promise<Provider> {
  const server = await startEliza({ pauseMs: ELIZA_PAUSE_MS });
  return {
    client: new OpenAI({ apiKey: "none", baseURL: server.baseURL, organization: null, project: null }),
    model: "eliza",
    description: "ELIZA on this machine (set OPENAI_API_KEY or OPENAI_BASE_URL to talk to another provider)",
    [Symbol.asyncDispose]: () => server.close(),
  };
}
