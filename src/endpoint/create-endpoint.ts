/** The endpoint: one function from a Request to a Response, which runs wherever `fetch` does. */
import { invalidOption, type TraceLoggerError } from "../errors.ts";
import { isObject } from "../json.ts";
import { tellBatch, tellFailure, tellSuccess } from "./answers.ts";
import { type KeyCheck, keyCheck } from "./api-key.ts";
import { answerItems, itemsOf, WRITES_AT_ONCE } from "./batch.ts";
import { Failure } from "./failure.ts";
import { gathering } from "./gather.ts";
import { type KeptTrace, keepTrace } from "./keep.ts";
import type { KeyLayout } from "./key.ts";
import { type EndpointMode, MODES, type ModeRules } from "./modes.ts";
import { listPage, type PageLink, renderedPage, storedEntry } from "./pages.ts";
import { readBody } from "./read-body.ts";
import { receiveTrace, type TraceLimits } from "./receive.ts";
import { type ShareLinkOptions, type ShareLinks, shareLinks } from "./share-links.ts";
import type { Store } from "./store.ts";

/** A trace that is in the store, and where it can be looked at. */
export interface StoredTrace extends KeptTrace {
  /** Its share page, signed where links are; null where none are written. */
  readonly url: string | null;
}

/** What an endpoint is made of. */
export interface EndpointOptions {
  /** Where traces are kept: `fileStore(dir)`, or anything with the methods of `Store`. */
  readonly store: Store;
  /** Which deployment to answer like. @default "proxy" */
  readonly mode?: EndpointMode;
  /**
   * Keys of which a request must carry one in `x-api-key`, to store and to list. Share pages stay open to whoever has
   * the link, or a link that is signed (`shareLinks`). @default none, and everyone may
   */
  readonly apiKeys?: readonly string[];
  /** Longest request body in bytes, after decompression. @default 6291456, what a Lambda takes */
  readonly maxRequestBytes?: number;
  /** Most traces in one request: a JSON array, or NDJSON. @default 1000 */
  readonly maxTraces?: number;
  /** Most messages in one trace. @default 10000 */
  readonly maxMessages?: number;
  /** Deepest nesting of the JSON. @default 100 */
  readonly maxDepth?: number;
  /**
   * Write a share page beside every trace, and answer with its URL? Without, the `url` is null. `"on-demand"`: nothing is
   * written but the trace, and its page is made of it whenever someone asks. @default true
   */
  readonly sharePages?: boolean | "on-demand";
  /**
   * Where in the store a trace lies: `logs/<fingerprint>/<YYYYMMDD>/<id>.json`, or with the day first, as query engines
   * like it: `logs/dt=<YYYY-MM-DD>/fp=<fingerprint>/<id>.json`. Decide once: a trace that is sent again after a change
   * is stored again. @default "contract"
   */
  readonly layout?: KeyLayout;
  /**
   * Sign the links to share pages, and show a page only to those who come with such a link, while it is valid.
   * @default none: a page's address is enough
   */
  readonly shareLinks?: ShareLinkOptions;
  /** Show the list of traces and their JSON to whoever may store, too? @default true */
  readonly browse?: boolean;
  /** What the URLs in answers begin with, where it is not the origin of the request. @example "https://traces.example/prod" */
  readonly publicUrl?: string;
  /** Called after every stored trace. What it throws is ignored. */
  readonly onStored?: (stored: StoredTrace) => void;
  /** Called with what went wrong inside, which the sender is not told. What it throws is ignored. */
  readonly onError?: (error: unknown) => void;
}

/** Takes a request to the endpoint. Never rejects. */
export type Endpoint = (request: Request) => Promise<Response>;

interface Settings extends TraceLimits {
  readonly options: EndpointOptions;
  readonly store: Store;
  readonly rules: ModeRules;
  readonly mayEnter: KeyCheck;
  readonly maxRequestBytes: number;
  readonly maxTraces: number;
  readonly sharePages: boolean;
  readonly writePages: boolean;
  readonly layout: KeyLayout;
  readonly links: ShareLinks;
}

/** Where a POST is a trace: the root, and the stage of the published URL. */
const INTAKE_PATHS = ["/", "/prod"];

/**
 * Make an endpoint.
 *
 * @throws {TraceLoggerError} `invalid_option` for an option or a mode that does not exist, no store, an empty key, or a limit that is none.
 */
export function createEndpoint(options: EndpointOptions): Endpoint {
  const settings = resolve(options);
  return async (request) => {
    const response = await answer(request, settings).catch((error: unknown) => tell(error, settings));
    response.headers.set("x-amzn-RequestId", crypto.randomUUID());
    return response;
  };
}

async function answer(request: Request, settings: Settings): Promise<Response> {
  const url = new URL(request.url);
  if (request.method === "POST") return intake(request, url, settings);
  if (request.method !== "GET" && request.method !== "HEAD")
    throw new Failure("wrong_method", "MethodNotAllowed: POST a trace");
  return show(request, url, settings);
}

async function show(request: Request, url: URL, settings: Settings): Promise<Response> {
  const { sharePages, store } = settings;
  const { browse = true } = settings.options;
  if (sharePages && /^\/share\//.test(url.pathname)) {
    if (!(await settings.links.isValid(url))) throw new Failure("forbidden", "PermissionError: The link has expired");
    return settings.writePages ? storedEntry(store, url.pathname) : renderedPage(store, url.pathname);
  }
  if (!browse || !/^\/(?:$|logs\/)/.test(url.pathname)) throw new Failure("wrong_path", "NotFound: Nothing is here");
  await demandKey(request, settings);
  return url.pathname === "/"
    ? listPage(url, { store, pageLink: pageLink(settings), base: settings.options.publicUrl ?? "" })
    : storedEntry(store, url.pathname);
}

/** Signed where links are, or else the list would lead to closed doors; none where no pages are written. */
function pageLink({ sharePages, links }: Settings): PageLink {
  return sharePages ? (key) => links.signed(`/${key}`) : async () => undefined;
}

async function intake(request: Request, url: URL, settings: Settings): Promise<Response> {
  const { options, rules } = settings;
  if (!INTAKE_PATHS.includes(url.pathname)) throw new Failure("wrong_path", "NotFound: Nothing takes traces here");
  await demandKey(request, settings);
  const isNdjson = demandJson(request, rules);
  const text = await readBody(request, { ...rules, maxRequestBytes: settings.maxRequestBytes });
  const origin = options.publicUrl ?? url.origin;
  const { body, items } = itemsOf(text, { ...settings, isNdjson, batches: rules.batches });
  if (items === undefined) return tellSuccess(rules.style, (await storeOne(body, origin, settings)).url);
  const batch = { ...settings, store: gathering(settings.store) };
  return tellBatch(
    await answerItems(items, {
      store: (item) => storeOne(item, origin, batch),
      toFailure: (error) => toFailure(error, settings),
      atOnce: settings.store.putMany === undefined ? WRITES_AT_ONCE : items.length,
    }),
  );
}

async function storeOne(body: unknown, origin: string, settings: Settings): Promise<StoredTrace> {
  const { options, store, rules, sharePages, links } = settings;
  const kept = await keepTrace(store, receiveTrace(body, rules, settings), settings);
  const stored = { ...kept, url: sharePages ? `${origin}${await links.signed(`/${kept.key.page}`)}` : null };
  ignoringErrors(() => options.onStored?.(stored));
  return stored;
}

async function demandKey(request: Request, { mayEnter }: Settings): Promise<void> {
  if (!(await mayEnter(request))) throw new Failure("forbidden", "PermissionError: Missing or wrong x-api-key");
}

/**
 * Says whether it is NDJSON. Also what keeps a page of a stranger from writing here: browsers ask before they send
 * these types to another origin.
 */
function demandJson(request: Request, rules: ModeRules): boolean {
  const type = request.headers.get("content-type")?.split(";", 1)[0]?.trim().toLowerCase();
  if (type === "application/json") return false;
  if (type === "application/x-ndjson" && rules.batches) return true;
  throw new Failure("unsupported_media", "UnsupportedMediaType: Send content-type: application/json");
}

function tell(error: unknown, settings: Settings): Response {
  return tellFailure(settings.rules.style, toFailure(error, settings));
}

/** What the sender may know of an error; the host is told the rest. */
function toFailure(error: unknown, { options }: Settings): Failure {
  const failure =
    error instanceof Failure ? error : new Failure("crash", "InternalError: A bug of ours", { cause: error });
  if (failure.kind === "crash" || failure.kind === "storage") ignoringErrors(() => options.onError?.(failure.cause));
  return failure;
}

function ignoringErrors(callback: () => void): void {
  try {
    callback();
  } catch {
    // A callback of the host: its errors are not the sender's.
  }
}

/** All that there are: a misspelt one is refused. `apiKey` for `apiKeys` would leave the endpoint open to everyone. */
const NAMES: Readonly<Record<keyof EndpointOptions, true>> = {
  store: true,
  mode: true,
  apiKeys: true,
  maxRequestBytes: true,
  maxTraces: true,
  maxMessages: true,
  maxDepth: true,
  sharePages: true,
  layout: true,
  shareLinks: true,
  browse: true,
  publicUrl: true,
  onStored: true,
  onError: true,
};

function checkNames(options: EndpointOptions): void {
  if (!isObject(options)) throw invalidOption("createEndpoint: the options must be an object with a `store`.");
  const unknown = Object.keys(options).find((name) => !(name in NAMES));
  if (unknown === undefined) return;
  throw invalidOption(`createEndpoint: there is no option ${unknown}. There are: ${Object.keys(NAMES).join(", ")}.`);
}

const isStore = (store: unknown): boolean =>
  isObject(store) && ["put", "read", "list"].every((method) => typeof store[method] === "function");

function resolve(options: EndpointOptions): Settings {
  checkNames(options);
  const { mode = "proxy", apiKeys = [], sharePages = true, layout = "contract" } = options;
  if (!isStore(options.store)) throw badOption("store", "one like fileStore(dir), with put, read and list");
  if (!Object.hasOwn(MODES, mode)) throw badOption("mode", Object.keys(MODES).join(" or "));
  if (![true, false, "on-demand"].includes(sharePages)) throw badOption("sharePages", 'true, false or "on-demand"');
  if (!["contract", "partitioned"].includes(layout)) throw badOption("layout", "contract or partitioned");
  if (!Array.isArray(apiKeys) || apiKeys.some((key) => typeof key !== "string" || key === ""))
    throw badOption("apiKeys", "a list of strings that are not empty");
  return {
    options,
    store: options.store,
    rules: MODES[mode],
    mayEnter: keyCheck(apiKeys),
    maxRequestBytes: limit("maxRequestBytes", options.maxRequestBytes, 6_291_456),
    maxTraces: limit("maxTraces", options.maxTraces, 1000),
    maxMessages: limit("maxMessages", options.maxMessages, 10_000),
    maxDepth: limit("maxDepth", options.maxDepth, 100),
    sharePages: sharePages !== false,
    writePages: sharePages === true,
    layout,
    links: shareLinks(options.shareLinks),
  };
}

function limit(name: string, value: number | undefined, fallback: number): number {
  if (value === undefined) return fallback;
  if (!Number.isInteger(value) || value < 1) throw badOption(name, "a whole number from 1");
  return value;
}

function badOption(name: string, expected: string): TraceLoggerError {
  return invalidOption(`createEndpoint: the option ${name} must be ${expected}.`);
}
