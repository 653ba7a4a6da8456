import type { TraceSink } from "../sink.ts";
import { isPromise } from "../thenable.ts";
import { parseObject } from "./call.ts";
import { takeControl } from "./call-control.ts";
import type { UsageCall } from "./include-usage.ts";
import { loading, once } from "./once.ts";
import { type CaptureOptions, checkOption, type ResolvedCaptureOptions, resolveCaptureOptions } from "./options.ts";
import { type Api, describeRequest, type MadeCall, snapshotBody } from "./request.ts";

export type Fetch = typeof fetch;

/** What `tracingFetch` takes besides {@link CaptureOptions}. */
export interface TracingFetchOptions extends CaptureOptions {
  /** The `fetch` that does the work. @default the global one, as it is when a call is made */
  readonly fetch?: Fetch | undefined;
}

/**
 * What follows a call is loaded when a fetch is made that traces, so that an import of this package does not cost it;
 * the response of a first call that comes sooner waits for it.
 */
const loadCapture = once(() => import("./follow-call.ts"));
type Capture = typeof import("./follow-call.ts");

const APIS: readonly Api[] = ["chat/completions", "responses", "completions"];
let knownUrl = "";
let knownApi: Api | undefined;

/** What is captured, by the path that a POST goes to. Known of the last one: most go to the same. */
function apiOf(url: string): Api | undefined {
  if (url !== knownUrl) {
    const [path] = url.split(/\/?(?:[?#]|$)/);
    knownApi = APIS.find((api) => path?.endsWith(`/${api}`));
    knownUrl = url;
  }
  return knownApi;
}

/** On every fetch of ours: the sinks it writes to. `Symbol.for`, so that the ESM and the CJS copy understand each other. */
const sinksOf = Symbol.for("tracelogger.sinks");

function sinksBehind(fetch: (Fetch & { [sinksOf]?: readonly TraceSink[] }) | undefined): readonly TraceSink[] {
  return fetch?.[sinksOf] ?? [];
}

/**
 * A `fetch` that traces OpenAI-style calls (chat completions, responses, completions; streamed or not) and passes everything else on untouched.
 * Give it to anything that takes a custom `fetch`. The caller sees what it would see without it: the request is not
 * changed, the response passes as it comes, and what goes wrong with tracing never reaches the caller.
 *
 * @throws {TraceLoggerError} `invalid_option`
 */
export function tracingFetch(sink: TraceSink, options: TracingFetchOptions = {}): Fetch {
  const settings = { ...resolveCaptureOptions(sink, options), sink };
  const { fetch: given } = options;
  checkOption("fetch", "a function", given, given === undefined || typeof given === "function");
  const { fetch: before } = globalThis;
  const asked = given ?? before;
  if (sinksBehind(asked).includes(sink)) return asked;
  let isAsking = false;
  const base: Fetch =
    given ??
    ((...request) => {
      isAsking = true;
      try {
        return globalThis.fetch(...request);
      } finally {
        isAsking = false;
      }
    });

  loading(loadCapture());
  const refusing = new Set<string>();
  const behind = sinksBehind(given);
  const traced: Fetch = (...args) => {
    // It asks itself: it has become the global fetch, or is called by what has.
    if (isAsking) return before(...args);
    const { control, rest } = takeControl(args);
    // Another tracing fetch behind this one needs to know, too, and takes the header away.
    const request = behind.length > 0 ? args : rest;
    const call = control.off ? undefined : readCall(rest, settings);
    if (!call) return base(...request);
    const follow = ({ FollowedCall }: Capture) => new FollowedCall(call, control, settings);
    const capture = loadCapture();
    // Undefined where it could not be loaded.
    const followed = isPromise(capture) ? capture.then(follow, () => undefined) : follow(capture);
    // Not by `whenThere`, which would take a closure more for each call.
    const respond = (response: Response) =>
      isPromise(followed) ? followed.then((it) => it?.respond(response) ?? response) : followed.respond(response);
    const fail = async (error: unknown): Promise<never> => {
      (await followed)?.fail(error);
      throw error;
    };
    if (settings.includeUsage)
      return askForUsage({ ...call, args: request, send: base, respond, refusing }).catch(fail);
    const seen = isPromise(followed) ? request : followed.tap(given ?? globalThis.fetch, request);
    // A mock may give the response itself: whoever awaits it does not notice.
    return Promise.resolve(base(...seen)).then(respond, fail);
  };
  return Object.assign(traced, { [sinksOf]: [sink, ...behind] });
}

async function askForUsage(call: UsageCall): Promise<Response> {
  const loaded = await import("./include-usage.ts").catch(() => undefined);
  return loaded ? loaded.callWithUsage(call) : call.respond(await call.send(...call.args));
}

/** Undefined for what is not captured. Never throws: an argument that cannot be read is for the real fetch to refuse. */
function readCall(args: Parameters<Fetch>, { shouldCapture }: ResolvedCaptureOptions): MadeCall | undefined {
  try {
    const { url, method, signal, body } = describeRequest(args);
    const api = method === "POST" ? apiOf(url) : undefined;
    if (!api) return undefined;
    const requestText = snapshotBody(body);
    if (shouldCapture) {
      const asked = {
        url,
        get request() {
          return typeof requestText === "string" ? parseObject(requestText) : undefined;
        },
      };
      if (!shouldCapture(asked)) return undefined;
    }
    return { url, signal, requestText, api };
  } catch {
    return undefined;
  }
}
