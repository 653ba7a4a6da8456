/** A real S3 server, which can be stopped and started again with what it holds. */
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CreateBucketCommand, PutBucketPolicyCommand, S3Client, type S3ClientConfig } from "@aws-sdk/client-s3";
import { eventually } from "../support.ts";

export const credentials = { accessKeyId: "TESTKEY", secretAccessKey: "a-test-secret" };

export interface S3Server {
  readonly url: string;
  client(config?: S3ClientConfig): S3Client;
  createBucket(name: string): Promise<void>;
  /** What a deployed function is told of the bucket, and more. */
  environment(bucket: string, more?: Record<string, string>): Record<string, string>;
  /** Keys of somebody who may create and read objects of a bucket, and not list them: as our template's role. */
  createWriter(bucket: string): Promise<{ accessKeyId: string; secretAccessKey: string }>;
  /** Limit what all buckets together may hold. */
  setQuota(objects: number): void;
  stop(): Promise<void>;
  start(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Whether Ceph is there; without it the tests skip. */
export function hasS3Server(): boolean {
  try {
    execFileSync("sh", ["-c", "command -v radosgw ceph-mon ceph-osd"], { stdio: "ignore" });
    return process.getuid?.() === 0;
  } catch {
    return false;
  }
}

export async function startS3Server(): Promise<S3Server> {
  const dir = mkdtempSync(join(tmpdir(), "tracelogger-s3-"));
  const port = await freePort();
  const { accessKeyId, secretAccessKey } = credentials;
  const script = join(import.meta.dirname, "s3-up.sh");
  execFileSync(script, [dir, String(port), accessKeyId, secretAccessKey], { stdio: ["ignore", "ignore", "inherit"] });
  const pids = readFileSync(join(dir, "pids"), "utf8").trim().split("\n").map(Number);
  const url = `http://127.0.0.1:${port}`;
  const client = (config: S3ClientConfig = {}) =>
    new S3Client({ endpoint: url, region: "us-east-1", forcePathStyle: true, credentials, ...config });
  const admin = (...args: string[]) => execFileSync("radosgw-admin", ["-c", `${dir}/ceph.conf`, ...args]);
  return {
    url,
    client,
    createBucket: async (name) => void (await client().send(new CreateBucketCommand({ Bucket: name }))),
    environment: (bucket, more = {}) => ({
      TRACELOGGER_BUCKET: bucket,
      TRACELOGGER_S3_PATH_STYLE: "true",
      AWS_ENDPOINT_URL_S3: url,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      ...more,
    }),
    async createWriter(bucket) {
      const writer = { accessKeyId: "WRITERKEY", secretAccessKey: "a-writers-secret" };
      const keys = [`--access-key=${writer.accessKeyId}`, `--secret-key=${writer.secretAccessKey}`];
      admin("user", "create", "--uid=writer", "--display-name=writer", ...keys);
      const Statement = {
        Effect: "Allow",
        Principal: { AWS: "arn:aws:iam:::user/writer" },
        Action: ["s3:PutObject", "s3:GetObject"],
        Resource: `arn:aws:s3:::${bucket}/*`,
      };
      const Policy = JSON.stringify({ Version: "2012-10-17", Statement });
      await client().send(new PutBucketPolicyCommand({ Bucket: bucket, Policy }));
      return writer;
    },
    setQuota(objects) {
      admin("quota", "set", "--quota-scope=user", "--uid=test", `--max-objects=${objects}`);
      admin("quota", objects < 0 ? "disable" : "enable", "--quota-scope=user", "--uid=test");
    },
    async stop() {
      const pid = pids.pop();
      if (pid) process.kill(pid, "SIGKILL");
      await eventually(() => fetch(url).then(Promise.reject.bind(Promise), () => {}));
    },
    async start() {
      const gateway = spawn("radosgw", ["-c", `${dir}/ceph.conf`, "-n", "client.admin", "-f"], { stdio: "ignore" });
      if (gateway.pid) pids.push(gateway.pid);
      await eventually(() => fetch(url), 30_000);
    },
    async [Symbol.asyncDispose]() {
      for (const pid of pids) process.kill(pid, "SIGKILL");
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** One whose neighbour 10,000 above is a port, too. */
async function freePort(): Promise<number> {
  for (;;) {
    const server = createServer();
    const port = await new Promise<number>((resolve) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address();
        resolve(typeof address === "object" && address ? address.port : 0);
      });
    });
    await new Promise((resolve) => server.close(resolve));
    if (port < 55_000) return port;
  }
}
