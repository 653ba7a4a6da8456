import { describeGot, invalidOption, TraceLoggerError } from "../errors.ts";
import { isObject } from "../json.ts";
import type { TraceSink } from "../sink.ts";
import { type CaptureOptions, resolveCaptureOptions } from "./options.ts";
import { type Fetch, tracingFetch } from "./tracing-fetch.ts";

/** What we need of a client: SDKs of the OpenAI make call the `fetch` they hold. */
interface Client {
  readonly [name: string]: unknown;
  fetch: Fetch;
  withOptions?(options: object): Client;
}

/** A client's own `fetch` makes its calls: a second one would be in vain. */
interface WrapOptions extends CaptureOptions {
  readonly fetch?: never;
}

/**
 * The same client, traced: every chat completion, response and completion that is made through it, by whatever
 * method, goes to the sink. Works with `openai` (4 to 7, Azure) and the SDKs built like it. The user of the client sees no difference, and the client
 * given stays as it is; only one that cannot copy itself faithfully (`openai` 4, some subclasses, what another tool or
 * a mock has changed) is changed in place and given back.
 *
 * @throws {TraceLoggerError} `unsupported_client` for what is no such client, `invalid_option` for bad options.
 * @example
 * const openai = wrapOpenAI(new OpenAI(), logger);
 */
export function wrapOpenAI<C extends object>(client: C, sink: TraceSink, options: WrapOptions = {}): C {
  resolveCaptureOptions(sink, options);
  if (options.fetch) throw invalidOption("Option `fetch`: give it to the client, as in `new OpenAI({ fetch })`.");
  if (!isClient(client)) throw unsupported(client);
  const caller = callerBehind(client);
  const bare = fetchOf(caller);
  const fetch = tracingFetch(sink, { ...options, fetch: bare });
  if (fetch === bare) return client; // it traces already
  try {
    const isOwn = caller === client && !isChanged(client);
    const copy = isOwn ? client.withOptions?.({ ...forgotten(client), fetch }) : undefined;
    if (copy?.fetch === fetch && isFaithful(copy, client)) return copy as C & Client; // of the class it is called on
    caller.fetch = fetch;
    return client;
  } catch (cause) {
    throw unsupported(client, cause);
  }
}

type Fields = { readonly [name: string]: unknown };

/**
 * The client whose `fetch` makes the calls: its APIs hold it. Other tools that trace give out a proxy of it, or a plain
 * object with the same APIs.
 */
function callerBehind(client: Client): Client {
  const callers = apisOf(client).map(({ _client }) => _client);
  return callers.find((one): one is Client => isObject(one) && typeof one["fetch"] === "function") ?? client;
}

function apisOf({ chat, responses }: Fields): Fields[] {
  return [isObject(chat) && chat["completions"], responses].filter(isObject);
}

/** As it is: a proxy may show it wrapped, and then it would not be known again. */
function fetchOf(caller: Client): Fetch {
  const own: unknown = Object.getOwnPropertyDescriptor(caller, "fetch")?.value;
  return typeof own === "function" ? (own as Fetch) : caller.fetch; // what a client holds by that name
}

function isApi(value: unknown): value is Fields {
  return isObject(value) && "_client" in value;
}

/** Has anybody put something before a method of its class (a mock, a tool that traces)? No copy would have it. */
function isChanged(part: Fields, seen = new Set<Fields>()): boolean {
  if (seen.has(part)) return false;
  seen.add(part);
  const inherited: object = Object.getPrototypeOf(part) ?? {};
  // Not the enumerable ones alone: methods are not, nor is what mocks put in their place.
  return Object.getOwnPropertyNames(part).some((name) => {
    const value = part[name];
    return typeof value === "function" ? name in inherited : isApi(value) && isChanged(value, seen);
  });
}

/** What `withOptions` of some versions forgets: a function that gives the key, and which Azure deployment it is. */
function forgotten({ _options, apiVersion, deploymentName }: Fields): object {
  const { apiKey } = isObject(_options) ? _options : {};
  return {
    ...(typeof apiKey === "function" ? { apiKey } : {}),
    ...(apiVersion === undefined ? {} : { apiVersion, deployment: deploymentName }),
  };
}

/** Would the copy make the same calls? A subclass may not hand on what its constructor was given. */
function isFaithful(copy: Fields, client: Fields): boolean {
  const { fetch: _, ...options } = isObject(client["_options"]) ? client["_options"] : {};
  const copied = isObject(copy["_options"]) ? copy["_options"] : {};
  return (
    Object.entries(client).every(
      ([name, value]) => ["fetch", "_options"].includes(name) || isApi(value) || value === copy[name],
    ) && Object.entries(options).every(([name, value]) => isSame(value, copied[name]))
  );
}

function isSame(one: unknown, other: unknown): boolean {
  return one === other || (isObject(one) && isObject(other) && JSON.stringify(one) === JSON.stringify(other));
}

function isClient(client: object): client is Client {
  if (!isObject(client) || typeof client["fetch"] !== "function") return false;
  // Others are built like it, too, and call something that is not captured (`messages`): better an error than no traces.
  return apisOf(client).some(({ create }) => typeof create === "function");
}

function unsupported(client: unknown, cause?: unknown): TraceLoggerError {
  const got = isObject(client) ? `an object of class ${client.constructor?.name}` : describeGot(client);
  return new TraceLoggerError(
    `wrapOpenAI cannot wrap ${got}: expected a client like \`new OpenAI()\`, with \`chat.completions\` or \`responses\`, ` +
      "and a `fetch` of its own. " +
      "If yours takes a `fetch`, give it `tracingFetch(logger)`; else call `logTrace` yourself.",
    { code: "unsupported_client", cause },
  );
}
