import OpenAI from "openai";
import { differentialSuite } from "./differential.ts";

differentialSuite("openai 7", (settings) => new OpenAI({ ...settings, logLevel: "off" }));
