/**
 * Loads the disk spool when the option asks for it. It has to be there when the constructor returns, since every trace
 * is written before `logTrace` returns, so it is required, not imported; and the core stays without `node:` imports.
 */
import { TraceLoggerError } from "../errors.ts";
import type { Spool, SpoolEvent, SpoolOptions } from "./spool/spool.ts";

/** What `tracelogger/spool` exports, and what a bundled application hands over itself. */
export type OpenSpool = (options: SpoolOptions, deps: { readonly onEvent: (event: SpoolEvent) => void }) => Spool;

/** The `spool` option: a folder, or a folder with limits. */
export type SpoolSetting = string | (SpoolOptions & { readonly open?: OpenSpool | undefined });

export function spoolOpener(
  setting: SpoolSetting | undefined,
): ((onEvent: (event: SpoolEvent) => void) => Spool) | undefined {
  if (setting === undefined) return undefined;
  const { open = load(), ...options } = typeof setting === "string" ? { dir: setting } : setting;
  return (onEvent) => open(options, { onEvent });
}

function load(): OpenSpool {
  try {
    const require = process.getBuiltinModule("node:module").createRequire(import.meta.url);
    return require("tracelogger/spool").openSpool;
  } catch (cause) {
    const message =
      'Option `spool`: it needs Node and the package in node_modules. When bundled: `spool: { dir, open: openSpool }`, from "tracelogger/spool".';
    throw new TraceLoggerError(message, { code: "invalid_option", cause });
  }
}
