/**
 * The license texts of the packages that are bundled into `dist`: they have to travel with the code. Found out from what
 * each build has really taken in, and written to `dist/THIRD-PARTY-NOTICES.txt`.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Options } from "tsup";

type EsbuildPlugin = NonNullable<Options["esbuildPlugins"]>[number];
type Outputs = Record<string, { readonly inputs: Record<string, { readonly bytesInOutput: number }> }>;

/** Folders of the packages bundled so far: several builds run beside each other, and the last to end knows them all. */
const bundled = new Set<string>();

export const thirdPartyNotices: EsbuildPlugin = {
  name: "third-party-notices",
  setup(build) {
    build.initialOptions.metafile = true;
    build.onEnd(({ metafile }) => {
      for (const folder of packagesIn(metafile?.outputs ?? {})) bundled.add(folder);
      mkdirSync("dist", { recursive: true });
      writeFileSync("dist/THIRD-PARTY-NOTICES.txt", notices([...bundled].sort()));
    });
  },
};

function packagesIn(outputs: Outputs): string[] {
  return Object.values(outputs)
    .flatMap(({ inputs }) => Object.entries(inputs).filter(([, { bytesInOutput }]) => bytesInOutput > 0))
    .flatMap(([file]) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? []);
}

/** Each text once, under all packages that come with it. */
function notices(folders: readonly string[]): string {
  const byText = new Map<string, string[]>();
  for (const folder of folders) {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const text = licenseText(folder) || `${license} (there is no license text in the package)`;
    byText.set(text, [...(byText.get(text) ?? []), `${name} ${version}`]);
  }
  const intro = "tracelogger (MIT, see LICENSE) contains code of these packages.";
  const sections = [...byText].map(([text, names]) => `${names.join("\n")}\n\n${text}`);
  return [intro, ...sections].join(`\n\n${"-".repeat(80)}\n\n`);
}

function licenseText(folder: string): string {
  const files = readdirSync(folder).filter((file) => /^(licen[cs]e|notice)/i.test(file));
  return files.map((file) => readFileSync(join(folder, file), "utf8").trim()).join("\n\n");
}
