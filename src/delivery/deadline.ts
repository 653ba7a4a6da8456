/** Runs work that is told when its time has passed, and lets go of the timer when the work ends before. */
export async function withDeadline<T>(timeoutMs: number, work: (passed: Promise<void>) => Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const passed = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  try {
    return await work(passed);
  } finally {
    clearTimeout(timer);
  }
}
