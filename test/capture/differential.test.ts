import OpenAI from "openai";
import OpenAI4 from "openai4";
import OpenAI5 from "openai5";
import OpenAI6 from "openai6";
import { differentialSuite } from "./differential.ts";

// The majors differ in their types, and in what the checks use they do not: hence the casts.
const logLevel = "off" as const;
differentialSuite("openai 7", (settings) => new OpenAI({ ...settings, logLevel }));
differentialSuite("openai 6", (settings) => new OpenAI6({ ...settings, logLevel }) as unknown as OpenAI);
differentialSuite("openai 5", (settings) => new OpenAI5({ ...settings, logLevel }) as unknown as OpenAI);

const openai4 = (settings: object) => new OpenAI4(settings) as unknown as OpenAI;
differentialSuite("openai 4", openai4, {
  withOptions: "openai 4 has none",
  "asResponse, body read into one's own buffer": "the body is a Node stream there, which has no reader",
  "the headers, which cannot be changed": "node-fetch's own know no getSetCookie",
});
// The other door of openai 4: a fetch of one's own choice, whose bodies are web streams.
differentialSuite("openai 4 with the global fetch", (settings) => openai4({ fetch, ...settings }), {
  withOptions: "openai 4 has none",
});
