/** The code of an error of the operating system. By its shape: in a realm of its own (Jest's) Node's are no errors. */
export function errnoOf(error: unknown): string | undefined {
  return typeof error === "object" && error !== null && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;
}
