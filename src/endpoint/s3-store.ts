/** A store in an S3 bucket. The only file that knows AWS's SDK, which is an optional peer. */
import {
  GetObjectCommand,
  ListObjectsV2Command,
  NoSuchKey,
  PutObjectCommand,
  type S3Client,
  S3ServiceException,
} from "@aws-sdk/client-s3";
import { type Store, type StoreEntry, StoreError } from "./store.ts";

/** Which bucket, reached how. */
export interface S3StoreOptions {
  /** Made by you: region, credentials, retries and time limits are its. */
  readonly client: Pick<S3Client, "send">;
  readonly bucket: string;
  /** What keys begin with instead of `logs/` and `share/`. Each ends in `/`. */
  readonly prefixes?: { readonly logs?: string | undefined; readonly share?: string | undefined } | undefined;
}

/**
 * Keep traces as objects of a bucket. Every write is conditional (`If-None-Match: *`), so nothing is ever overwritten,
 * also when two writers race. Needs `s3:PutObject` and `s3:GetObject`; listing needs `s3:ListBucket`.
 *
 * @throws {RangeError} when a prefix does not end in `/`, or both are the same.
 */
export function s3Store({ client, bucket, prefixes = {} }: S3StoreOptions): Store {
  const folders = checked({ "logs/": prefixes.logs ?? "logs/", "share/": prefixes.share ?? "share/" });
  const toS3 = (key: string) => exchangePrefix(key, folders);
  return {
    async put(key, content, contentType) {
      // A string, not a stream: the SDK can then send it again by itself.
      const input = { Bucket: bucket, Key: toS3(key), Body: content, ContentType: contentType, IfNoneMatch: "*" };
      return toldAs("PutObject", async () => {
        const taken = await client.send(new PutObjectCommand(input)).then(() => false, ifTaken);
        return taken ? "taken" : "created";
      });
    },
    read: (key) =>
      toldAs("GetObject", async () => {
        const object = await client.send(new GetObjectCommand({ Bucket: bucket, Key: toS3(key) })).catch(unlessMissing);
        return object?.Body?.transformToString("utf-8");
      }),
    list: (prefix) => listFolder(client, { bucket, prefix, s3Prefix: toS3(prefix) }),
  };
}

interface Folder {
  readonly bucket: string;
  readonly prefix: string;
  /** The prefix in the bucket. */
  readonly s3Prefix: string;
}

async function* listFolder(client: Pick<S3Client, "send">, folder: Folder): AsyncGenerator<StoreEntry> {
  const { bucket, prefix, s3Prefix } = folder;
  const back = (key = "") => prefix + key.slice(s3Prefix.length);
  let token: string | undefined;
  do {
    const input = { Bucket: bucket, Prefix: s3Prefix, Delimiter: "/", ContinuationToken: token };
    const page = await toldAs("ListObjectsV2", () => client.send(new ListObjectsV2Command(input)));
    for (const { Prefix } of page.CommonPrefixes ?? []) yield { key: back(Prefix) };
    for (const { Key, LastModified, Size } of page.Contents ?? []) {
      yield { key: back(Key), modifiedMs: LastModified?.getTime() ?? 0, bytes: Size ?? 0 };
    }
    token = page.NextContinuationToken;
  } while (token !== undefined);
}

type Folders = Readonly<Record<string, string>>;

function checked(folders: Folders): Folders {
  const names = Object.values(folders);
  if (names.some((name) => !name.endsWith("/") || name.startsWith("/")) || new Set(names).size < names.length)
    throw new RangeError(
      "s3Store: each of `prefixes` must end in a slash, begin with none, and differ from the other.",
    );
  return folders;
}

/** Keys come from `key.ts` and are safe; what is not one of its two folders is refused here, too. */
function exchangePrefix(key: string, folders: Folders): string {
  for (const [ours, theirs] of Object.entries(folders)) {
    if (key.startsWith(ours)) return theirs + key.slice(ours.length);
  }
  throw new RangeError("not a key of this store");
}

/** 412: someone else's object has this key. Also our own, when the SDK repeated a request whose answer was lost. */
function ifTaken(error: unknown): true {
  if (error instanceof S3ServiceException && error.$metadata.httpStatusCode === 412) return true;
  throw error;
}

/**
 * To those who may not list (`s3:ListBucket`), S3 does not say that an object is missing: it answers AccessDenied. Wrong
 * credentials have other codes.
 */
function unlessMissing(error: unknown): undefined {
  if (error instanceof NoSuchKey) return undefined;
  if (error instanceof S3ServiceException && error.name === "AccessDenied") return undefined;
  throw error;
}

/**
 * S3's failures in the words that clients of the deployed function know as "the storage, not the trace". Only the
 * error's code is told: messages of S3 hold bucket names and access key ids.
 */
async function toldAs<T>(operation: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const told =
      cause instanceof S3ServiceException
        ? `ClientError: An error occurred (${word(cause.name)}) when calling the ${operation} operation`
        : "EndpointConnectionError: The storage could not be reached";
    throw new StoreError(told, { cause });
  }
}

function word(name: string): string {
  return /^\w{1,64}$/.test(name) ? name : "Unknown";
}
