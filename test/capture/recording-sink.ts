import { type DeferringTraceSink, deferTrace } from "../../src/sink.ts";
import { parseTrace, type Trace, type TraceInput } from "../../src/trace.ts";

/** A sink that keeps what it is given: every trace is checked against the contract as it comes. */
export interface RecordingSink extends DeferringTraceSink {
  /** Do the deferred work, as a logger's `flush` does, and give back all traces so far. */
  flush(): Promise<Trace[]>;
}

export function recordingSink(): RecordingSink {
  const works: (() => void | Promise<void>)[] = [];
  const traces: Trace[] = [];
  return {
    logTrace: (input: TraceInput) => void traces.push(parseTrace(input)),
    [deferTrace]: (work) => void works.push(work),
    async flush() {
      for (const work of works.splice(0)) await work();
      return traces;
    },
  };
}
