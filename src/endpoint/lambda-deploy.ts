/** What is deployed: `dist/lambda/index.cjs`, one file with everything in it. A wrong configuration fails the start. */
import { handlerFromEnvironment } from "./lambda.ts";

export const handler = handlerFromEnvironment(process.env);
