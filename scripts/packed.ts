/** The package as its users get it: packed, and installed into a project of its own. Needs a build (`npm run build`). */
import { execFileSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

export const root = resolve(import.meta.dirname, "..");

/** Runs a command to its end and gives back what it printed. Throws when it fails. */
export function run(cwd: string, command: string, ...args: string[]): string {
  console.log(`$ ${command} ${args.join(" ")}`);
  return execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], timeout: 240_000 });
}

/** Packs the tree into the folder; gives back where the tarball is. */
export function pack(folder: string): string {
  return join(folder, run(root, "npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", folder).trim());
}

/** A project in the folder with nothing in it. */
export function emptyProject(folder: string): string {
  const project = mkdtempSync(join(folder, "project-"));
  writeFileSync(join(project, "package.json"), '{ "name": "empty", "private": true }\n');
  return project;
}

/** What to install, and flags of npm's. */
export function install(project: string, ...args: string[]): void {
  run(project, "npm", "install", "--silent", "--no-audit", "--no-fund", ...args);
}
