import { isIP } from "node:net";

/** Can only this machine reach what listens there? */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

/** Is it a host's name, and nothing else: no port, no URL, no pattern? */
export function isHostName(name: unknown): boolean {
  return typeof name === "string" && /^[\w-]+(?:\.[\w-]+)*$/.test(name);
}
