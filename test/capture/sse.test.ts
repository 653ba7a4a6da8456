import fc from "fast-check";
import { expect, test } from "vitest";
import { EventReader } from "../../src/capture/sse.ts";

function readAll(text: string) {
  const reader = new EventReader(text);
  const events = [];
  for (let event = reader.next(); event; event = reader.next()) events.push(event);
  return events;
}

test("reads events with comments, names, ids, several data lines and any line ends", () => {
  const text =
    ": comment\n\nevent: a\r\nid: 1\r\ndata: one\r\ndata:two\r\n\r\ndata\rdata:  x\r\rretry: 5\n\nevent: lost\n\ndata: three";
  expect(readAll(text)).toEqual([
    { event: "a", data: "one\ntwo" },
    { event: "", data: "\n x" },
    { event: "", data: "three" },
  ]);
});

test("gives back whatever lines were sent as data", () => {
  const line = fc.string({ unit: "binary", maxLength: 8 }).map((text) => text.replaceAll(/[\r\n]/g, ""));
  const event = fc.record({ event: line, data: fc.array(line, { minLength: 1, maxLength: 3 }) });
  const end = fc.constantFrom("\n", "\r\n", "\r");
  fc.assert(
    fc.property(fc.array(event, { maxLength: 4 }), end, (events, lineEnd) => {
      const text = events.map(({ event, data }) =>
        [`event: ${event}`, ...data.map((part) => `data: ${part}`), "", ""].join(lineEnd),
      );
      expect(readAll(text.join(""))).toEqual(events.map(({ event, data }) => ({ event, data: data.join("\n") })));
    }),
  );
});
