/** TraceLogger: records what people and language models say to each other. Every public name of the main entry. */

export { type CallControl, traceHeaders } from "./capture/call-control.ts";
export { wrapOpenAI } from "./capture/openai.ts";
// Capture
export type { CallInfo, CaptureOptions } from "./capture/options.ts";
export { tracingFetch } from "./capture/tracing-fetch.ts";
// Errors
export {
  DeliveryError,
  type DeliveryErrorCode,
  isTraceLoggerError,
  type TraceIssue,
  TraceLoggerError,
  type TraceLoggerErrorCode,
  TraceRejectedError,
  TraceValidationError,
} from "./errors.ts";
export { PUBLISHED_ENDPOINT, type TraceLoggerOptions } from "./options.ts";
// What the logger tells
export type {
  DeliveredReceipt,
  FlushReport,
  LossReason,
  LostReceipt,
  SkippedReceipt,
  SpooledReceipt,
  TraceLoggerEvent,
  TraceLoggerStats,
  TraceLoss,
  TraceReceipt,
} from "./receipts.ts";
export {
  type ClosingTraceSink,
  type DeferringTraceSink,
  deferTrace,
  type LogOptions,
  type OpenCall,
  openCalls,
  type TraceSink,
} from "./sink.ts";
// The contract
export {
  parseTrace,
  type Trace,
  type TraceDefaults,
  type TraceInput,
  type TraceMessage,
  traceInputSchema,
  traceSchema,
} from "./trace.ts";
export { traceJsonSchema } from "./trace-json-schema.ts";
// Log
export { TraceLogger, type WaitOptions } from "./trace-logger.ts";
export { type CallEnding, callEnding, fromTraceMessage, type Said, toTraceMessage } from "./transcript.ts";
