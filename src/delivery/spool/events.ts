/** Why bytes were moved to `bad/` instead of being delivered. */
export type SetAsideReason =
  /** A checksum does not match, or no record begins there. */
  | "corrupt"
  /** Written by a later version of this package. */
  | "version"
  /** The file system refused to read it. */
  | "unreadable"
  /** A file which is not the spool's. */
  | "unknown-file";

/** What the spool did not keep to itself. It never throws at its caller; it tells. */
export type SpoolEvent =
  /** Writing failed. Traces stay in memory only; tried again by itself. Told once until `recovered`. */
  | { readonly type: "degraded"; readonly cause: unknown }
  /** Writing works again. */
  | { readonly type: "recovered" }
  /** `maxBytes` is reached: traces stay in memory only until others are delivered. Told once until it has room again. */
  | { readonly type: "full"; readonly bytes: number; readonly maxBytes: number }
  /** A trace was too long for the spool. */
  | { readonly type: "too-large"; readonly id: string; readonly bytes: number }
  /** A dead process's traces are ours now. */
  | { readonly type: "adopted"; readonly directory: string; readonly records: number }
  /**
   * Our directory is gone from its place: another process took us for dead (`isDeleted` false, it delivers what was
   * waiting there, or has), or somebody deleted it (`isDeleted` true). We go on in a new one.
   */
  | { readonly type: "directory-lost"; readonly isDeleted: boolean; readonly records: number; readonly bytes: number }
  /** A record whose writing was cut short, so that its `logTrace` never returned. */
  | { readonly type: "torn"; readonly bytes: number }
  /** Bytes that are no readable record were copied or moved to `path`. */
  | { readonly type: "set-aside"; readonly reason: SetAsideReason; readonly bytes: number; readonly path: string };
