/** Which methods of a response go by the public methods of its stream. What others read, nobody would see. */

interface InTheOpen {
  /** As those of Node's do. */
  readonly reads: boolean;
  /** Undici's do not from version 8 on, which is Node's own from 26 on. */
  readonly clones: boolean;
}

const known = new WeakMap<typeof Response, InTheOpen>();

/** What `instanceof` tells its user. Not its own `constructor`: proxies give out a function in its place. */
export function classOf(response: Response): typeof Response {
  return Object.getPrototypeOf(response).constructor;
}

/** @throws when there can be no response of this class with a body of ours. */
export function inTheOpen(Class: typeof Response): InTheOpen {
  const answer = known.get(Class) ?? {
    reads: calls("getReader", (probe) => void new Class(probe).text().catch(() => {})),
    clones: calls("tee", (probe) => void new Class(probe).clone()),
  };
  known.set(Class, answer);
  return answer;
}

/** Is this method of a stream called by what is done with the stream? */
function calls(method: "getReader" | "tee", use: (probe: ReadableStream) => void): boolean {
  let isCalled = false;
  const value = () => {
    isCalled = true;
    throw new Error("only a probe");
  };
  try {
    use(Object.defineProperty(new ReadableStream(), method, { value }));
  } catch (error) {
    if (!isCalled) throw error;
  }
  return isCalled;
}
