import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");

/** All of it, now; what finalizers do with it comes in a later task. */
export const collectGarbage: () => void = runInNewContext("gc");
