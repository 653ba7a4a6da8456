/**
 * Appends batches to a pack until it is killed: `node packs-writer.ts <folder> <name>`. Sends the keys of a batch when
 * the store has said that they are created.
 */
import { folderStore } from "../../../src/endpoint/files/folder-store.ts";

const [, , folder = "", name = ""] = process.argv;
const store = folderStore(folder, { packed: true });
const text = "What was said. ".repeat(2_000); // long lines, so that a kill often falls into a write

for (let batch = 0; ; batch++) {
  const entries = Array.from({ length: 40 }, (_, index) => {
    const id = `${name}-${batch}-${index}`;
    return { key: `logs/m/20240504/${id}.json`, content: JSON.stringify({ id, text }), contentType: "" };
  });
  const outcomes = await store.putMany(entries);
  if (outcomes.some((outcome) => outcome.status === "rejected" || outcome.value !== "created")) process.exit(1);
  process.send?.(entries.map(({ key }) => key));
}
