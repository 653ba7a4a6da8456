/** Timers that are asked for more ring at once, and print a warning; so do those that are asked for less than nothing. */
const LONGEST_MS = 2 ** 31 - 1;

/** What a timer takes, for `Infinity` and the like: 25 days are as good as for ever. */
export function timerMs(ms: number): number {
  return ms > 0 ? Math.min(ms, LONGEST_MS) : 0;
}

/** Runs work that is told when its time has passed, and lets go of the timer when the work ends before. */
export async function withDeadline<T>(timeoutMs: number, work: (passed: Promise<void>) => Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const passed = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timerMs(timeoutMs));
  });
  try {
    return await work(passed);
  } finally {
    clearTimeout(timer);
  }
}
