/** The endpoint itself, for those who run their own: `createEndpoint({ store })` takes a Request and gives a Response. */

export type { ItemAnswer } from "./batch.ts";
export { createEndpoint, type Endpoint, type EndpointOptions, type StoredTrace } from "./create-endpoint.ts";
export { type FileStoreOptions, fileStore } from "./file-store.ts";
export type { KeptTrace } from "./keep.ts";
export { type KeyLayout, type TraceKey, traceKey } from "./key.ts";
export type { EndpointMode } from "./modes.ts";
export type { ShareLinkOptions } from "./share-links.ts";
export { sharePage } from "./share-page.ts";
export { type NewEntry, type Store, type StoreEntry, StoreError } from "./store.ts";
