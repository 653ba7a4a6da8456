import { type DeferringTraceSink, deferTrace } from "../../src/sink.ts";
import type { TraceInput } from "../../src/trace.ts";
import { parseTrace } from "../../src/trace.ts";

export interface CollectingSink extends DeferringTraceSink {
  readonly traces: TraceInput[];
  /** What was collected when at least so many calls have ended and their traces are built. Each of them is valid. */
  settle(calls?: number): Promise<TraceInput[]>;
}

/** A sink that keeps what comes, and knows when deferred work is done. */
export function collectingSink(): CollectingSink {
  const traces: TraceInput[] = [];
  const works: Promise<void>[] = [];
  let onWork = () => {};
  return {
    traces,
    logTrace(input) {
      parseTrace(input);
      traces.push(input);
    },
    [deferTrace](work) {
      // In a task of its own, as the logger does: by then the caller has seen the end of the call, and acted on it.
      works.push(new Promise<void>((resolve) => setImmediate(resolve)).then(work));
      onWork();
    },
    async settle(calls = 1) {
      while (works.length < calls) {
        await new Promise<void>((resolve) => {
          onWork = resolve;
        });
      }
      await Promise.all(works);
      return traces;
    },
  };
}
