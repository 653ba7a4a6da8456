import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  composeRedactors,
  redactCardNumbers,
  redactContent,
  redactEmails,
  redactSecrets,
  type TraceRedactor,
} from "../src/redact.ts";
import { parseTrace, type Trace, type TraceInput } from "../src/trace.ts";
import { fromTraceMessage, toCallMessage, toTraceMessage } from "../src/transcript.ts";

const CARD = "4111 1111 1111 1111";
const KEY = `sk-proj-${"a1B2c3D4".repeat(6)}`;
const MAIL = "bob.o'neil+news@mail.example.com";

const trace = (input: Partial<TraceInput> = {}): Trace =>
  parseTrace({ model: "gpt-5", messages: [{ role: "user", content: "hello" }], ...input });

/** What a redactor makes of the text of one message. */
function redactedText(redactor: TraceRedactor<Trace>, content: string): string {
  return redactor(trace({ messages: [{ role: "user", content }] })).messages[0]?.content ?? "";
}

/** What an OpenAI-style message says after the redactor has seen its stored form. */
function redactedMessage(redactor: TraceRedactor<Trace>, message: object): unknown {
  const [stored] = redactor(trace({ messages: [toTraceMessage(message)] })).messages;
  return stored && fromTraceMessage(stored).message;
}

describe("redactSecrets takes out", () => {
  const secrets = {
    "an OpenAI key": `sk-${"aB3".repeat(16)}`,
    "an OpenAI project key": KEY,
    "an Anthropic key": `sk-ant-api03-${"aB3_-".repeat(18)}AA`,
    "an OpenRouter key": `sk-or-v1-${"0123456789abcdef".repeat(4)}`,
    "a DeepSeek key": `sk-${"0123456789abcdef".repeat(2)}`,
    "a Groq key": `gsk_${"aB3d".repeat(13)}`,
    "an xAI key": `xai-${"aB3d".repeat(20)}`,
    "a Hugging Face token": `hf_${"abCD".repeat(9)}`,
    "a Replicate token": `r8_${"aB3d".repeat(9)}x`,
    "a Perplexity key": `pplx-${"aB3d".repeat(12)}`,
    "an NVIDIA key": `nvapi-${"aB3_".repeat(16)}`,
    "a GitHub token": `ghp_${"aB3d".repeat(9)}`,
    "a GitHub app token": `ghs_${"aB3d".repeat(9)}`,
    "a fine-grained GitHub token": `github_pat_${"aB3d_".repeat(16)}`,
    "a GitLab token": "glpat-aB3dEfGhIjKlMnOpQrSt",
    "an AWS access key id": "AKIAIOSFODNN7EXAMPLE",
    "a temporary AWS access key id": "ASIAIOSFODNN7EXAMPLE",
    "a Google API key": `AIza${"aB3_-".repeat(7)}`,
    "a Google access token": `ya29.${"aB3_-".repeat(10)}`,
    "a Slack bot token": "xoxb-123456789012-123456789012-aBcDeFgHiJkLmNoPqRsTuVwX",
    "a Slack app token": "xapp-1-A0123456789-1234567890123-abcdef0123456789",
    "a Stripe key": `sk_live_${"aB3d".repeat(6)}`,
    "a SendGrid key": `SG.${"aB3_-d".repeat(3)}abcd.${"aB3_-d".repeat(7)}`,
    "an npm token": `npm_${"aB3d".repeat(9)}`,
    "a Databricks token": `dapi${"0123456789abcdef".repeat(2)}`,
    "a JWT": `eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.${"aB3_-".repeat(8)}`,
    "a Google key of the newer kind": `AQ.Ab8RN6${"aB3_-".repeat(9)}`,
    "a Google refresh token": `1//0g${"aB3_-".repeat(12)}`,
    "a Bedrock key": `ABSKQmVkcm9ja0FQSUtleS${"aB3d".repeat(25)}==`,
    "a short-term Bedrock key": `bedrock-api-key-YmVkcm9jay5hbWF6b25hd3MuY29t${"aB3d".repeat(25)}`,
    "an Azure key": `${"aB3d".repeat(13)}JQQJ99BDACYeBjFXJ3w3AAABACOG${"aB3d"}`,
    "an Azure client secret": `aB38Q~${"aB3~.".repeat(7)}`.slice(0, 40),
    "a Z.ai key": `${"0123456789abcdef".repeat(2)}.${"aB3d".repeat(4)}`,
    "an ElevenLabs key": `sk_${"0123456789abcdef".repeat(3)}`,
    "a Vercel AI gateway key": `vck_${"aB3d".repeat(14)}`,
    "a Pinecone key": `pcsk_aB3dE_${"aB3d".repeat(15)}`,
    "a Tavily key": `tvly-dev-${"aB3d".repeat(8)}`,
    "a Voyage key": `pa-${"aB3_-".repeat(9)}`.slice(0, 46),
    "a Jina key": `jina_${"0123456789abcdef".repeat(2)}${"aB3_".repeat(7)}`,
    "a Firecrawl key": `fc-${"0123456789abcdef".repeat(2)}`,
    "an E2B key": `e2b_${"0123456789".repeat(4)}`,
    "a Supabase secret key": `sb_secret_${"aB3d".repeat(7)}`,
    "a routable GitLab token": `glpat-${"aB3_".repeat(7)}.01.0z1abcd12`,
    "a GitLab runner token": `glrt-${"aB3d".repeat(5)}`,
    "a Grafana token": `glsa_${"aB3d".repeat(8)}_01234567`,
    "a Sentry token": `sntrys_eyJ${"aB3d".repeat(20)}=_${"aB3d".repeat(10)}`,
    "an Atlassian token": `ATATT3xFfGF0${"aB3_-".repeat(30)}=AB12CD34`,
    "a Doppler token": `dp.pt.${"aB3d".repeat(10)}`,
    "an organisation's Stripe key": `sk_org_live_${"aB3d".repeat(6)}`,
    "a Discord bot token": "MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs",
    "a Discord webhook": `https://discord.com/api/webhooks/123456789012345678/${"aB3_-".repeat(13)}`,
    "a Slack webhook": `https://hooks.slack.com/services/T00000000/B00000000/${"aB3d".repeat(6)}`,
    "an encrypted JWT": `eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..${"aB3_".repeat(4)}.${"aB3_".repeat(15)}.${"aB3_".repeat(5)}`,
    "a Telegram bot token": `123456789:AA${"aB3_-".repeat(7)}`,
  };

  test.each(Object.entries(secrets))("%s, wherever it stands", (_, secret) => {
    for (const [before, after] of [
      ["", ""],
      ["my key is ", "."],
      ["KEY=", "\nnext line"],
      ['{"key":"', '"}'],
      ["(", ")"],
      ["line one\n", "\nline three"],
      ['cut off: {"text":"line\\n', ""],
      ['cut off: {"text":"a \\u003c', "\\u003e"],
      ["?url=https%3A%2F%2Fx.test%3Fkey%3D", "%26n"],
      ["\u001b[31m", "\u001b[0m"],
      ["\\u001b[1;31m", "\\u001b[0m"],
    ]) {
      expect(redactedText(redactSecrets(), `${before}${secret}${after}`)).toBe(`${before}[REDACTED:secret]${after}`);
    }
  });

  test.each([
    ["Authorization: Bearer abcdefghij", "Authorization: Bearer [REDACTED:secret]"],
    ["curl -H 'authorization: Basic dXNlcjpwYXNz'", "curl -H 'authorization: Basic [REDACTED:secret]'"],
    ['headers: {"Authorization": "Bearer abc.def-123"}', 'headers: {"Authorization": "Bearer [REDACTED:secret]"}'],
    ["send bearer 0123456789abcdef0123", "send bearer [REDACTED:secret]"],
    ["MY_API_KEY=correct-horse-7", "MY_API_KEY=[REDACTED:secret]"],
    ["x-api-key: abcd1234efgh", "x-api-key: [REDACTED:secret]"],
    ['password = "hunter2hunter2"', 'password = "[REDACTED:secret]"'],
    ["aws_secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "aws_secret_access_key=[REDACTED:secret]"],
    ["Authorization: Bot MTk4NjIyNDgz.Cl2FMQ.ZnCjm1XVW7vR", "Authorization: Bot [REDACTED:secret]"],
    ["authorization: Key 12345678-aaaa-bbbb:0123456789abcdef", "authorization: Key [REDACTED:secret]"],
    ["Ocp-Apim-Subscription-Key: 0123456789abcdef", "Ocp-Apim-Subscription-Key: [REDACTED:secret]"],
    ["my API key: abc12345defg", "my API key: [REDACTED:secret]"],
    ["API Key：abc12345defg", "API Key：[REDACTED:secret]"],
    ["JWT_SECRET=abc123def456", "JWT_SECRET=[REDACTED:secret]"],
    ["AWS_SESSION_TOKEN=IQoJb3JpZ2luX2VjE", "AWS_SESSION_TOKEN=[REDACTED:secret]"],
    ['{"password":"x"}\n{"api_key": "y"}', '{"password":"[REDACTED:secret]"}\n{"api_key": "[REDACTED:secret]"}'],
    ["{'password': 'correct horse', 'n': 1}", "{'password': '[REDACTED:secret]', 'n': 1}"],
    ['cut off: {"a":"{\\"password\\":\\"x\\"', 'cut off: {"a":"{\\"password\\":\\"[REDACTED:secret]\\"'],
    ["https://x.test/?token=0123456789abcdef0&page=2", "https://x.test/?token=[REDACTED:secret]&page=2"],
    ["https://x.test/b?sv=2022&sig=aB3d0aB3d0aB3d0%3D", "https://x.test/b?sv=2022&sig=[REDACTED:secret]"],
    [
      `AccountName=x;AccountKey=${"aB3/".repeat(21)}aB==;EndpointSuffix=y`,
      "AccountName=x;AccountKey=[REDACTED:secret];EndpointSuffix=y",
    ],
    ["postgres://admin:p@ss1@db.internal/x", "postgres://admin:[REDACTED:secret]@db.internal/x"],
    ["postgres://admin:s3cr3t@db.internal/x", "postgres://admin:[REDACTED:secret]@db.internal/x"],
  ])("credentials by what stands before them: %s", (text, expected) => {
    expect(redactedText(redactSecrets(), text)).toBe(expected);
  });

  const pem = (label: string) =>
    `-----BEGIN ${label}-----\n${"MIIEvQIBADANBgkqhkiG9w0BAQEFAASC/+==\n".repeat(3)}-----END ${label}-----`;

  test.each(["PRIVATE KEY", "RSA PRIVATE KEY", "OPENSSH PRIVATE KEY", "EC PRIVATE KEY", "PGP PRIVATE KEY BLOCK"])(
    "a %s, whole or cut off, on lines or escaped",
    (label) => {
      const redact = (text: string) => redactedText(redactSecrets(), text);
      expect(redact(`a\n${pem(label)}\nb`)).toBe("a\n[REDACTED:private-key]\nb");
      expect(redact(`a ${pem(label).replaceAll("\n", "\\n")} b`)).toBe("a [REDACTED:private-key] b");
      expect(redact(`a ${pem(label).slice(0, 100)}`)).toBe("a [REDACTED:private-key]");
      expect(redact(`a ${pem(label).slice(0, 100).replaceAll("\n", "\\\\n")}`)).toBe("a [REDACTED:private-key]");
      const withHeaders = pem(label).replace("\n", "\nVersion: GnuPG v2\nDEK-Info: AES-256-CBC,AB\n\n");
      expect(redact(`a ${withHeaders}`)).toBe("a [REDACTED:private-key]");
      expect(redact(`a ${withHeaders.slice(0, 160)}`)).toBe("a [REDACTED:private-key]");
      expect(redact(JSON.stringify({ key: pem(label) }))).toBe('{"key":"[REDACTED:private-key]"}');
    },
  );

  test("what stands under a secret's name, also in tool arguments", () => {
    const call = { name: "login", arguments: '{ "user": "bob", "password": "x", "max_tokens": 5, "token": "Hello" }' };
    const message = { role: "assistant", content: null, tool_calls: [{ id: "c1", type: "function", function: call }] };
    expect(redactedMessage(redactSecrets(), message)).toMatchObject({
      tool_calls: [
        {
          function: {
            arguments: '{ "user": "bob", "password": "[REDACTED:secret]", "max_tokens": 5, "token": "Hello" }',
          },
        },
      ],
    });
  });

  const said = { password: 12345678, n: 5, api_key: null };
  const redacted = { password: "[REDACTED:secret]", n: 5, api_key: null };
  const headers = { authorization: ["a", "b"], tokens: [["c"]] };
  const hidden = { authorization: ["[REDACTED:secret]", "[REDACTED:secret]"], tokens: [["c"]] };
  test.each([
    [said, redacted],
    [headers, hidden],
    [
      [{ password: [[1], { x: "y" }, "a"] }, "b"],
      [{ password: [["[REDACTED:secret]"], { x: "y" }, "[REDACTED:secret]"] }, "b"],
    ],
    [
      [{ password: null }, "a", { api_key: [] }, 7, { password: true }, "b"],
      [{ password: null }, "a", { api_key: [] }, 7, { password: true }, "b"],
    ],
  ])("numbers and lists under a secret's name, and nothing after them, in JSON as in data (%#)", (before, after) => {
    const json = JSON.stringify(before);
    expect(redactSecrets()(trace({ choices: [{ said: before }] })).choices).toEqual([{ said: after }]);
    expect(JSON.parse(redactedText(redactSecrets(), json))).toEqual(after);
    expect(JSON.parse(JSON.parse(redactedText(redactSecrets(), JSON.stringify(json))))).toEqual(after);
  });
});

describe("redactSecrets leaves alone", () => {
  test.each([
    "http://localhost:3000?email=bob@example.com",
    "Authorization: see the section with number 12345 in it",
    "MyNamespace1WithLongNames.Models.SomeVeryLongClassNameGoesHere",
    "d41d8cd98f00b204e9800998ecf8427e.abcdefghijklmnop",
    "jina_embeddings_v3_base_code_and_sb_secret_of_the_day",
    "https://x.test/?token=Hello&key=some-long-slug-of-2026",
    '{"next_page_token": "CAUQAA12345678", "tokens": ["Hello"], "secretary": "Bob"}',
    "import sklearn; pip install sk-learn-contrib-estimators-extra",
    "the risk-averse-approach-to-task-management",
    "const apiKey = process.env.OPENAI_API_KEY;",
    "Authorization: is the step after authentication",
    "the bearer of this letter, and a basic understanding",
    "a3f5c9d2e1b04f6788990011223344556677889900aabbccddeeff0011223344",
    "01890a5d-ac96-774b-bcce-b302099a8057",
    "-----BEGIN PRIVATE KEY----- is how such a file begins",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    "https://user@example.com/path:1234",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAUA",
    "The password: must be long",
  ])("%s", (text) => {
    expect(redactedText(redactSecrets(), text)).toBe(text);
  });
});

describe("redactEmails", () => {
  test.each([
    ["write to bob@example.com.", "write to [REDACTED:email]."],
    ["<bob.smith+tag@mail.example.co.uk>", "<[REDACTED:email]>"],
    ["bob@example.com,ann@example.org", "[REDACTED:email],[REDACTED:email]"],
    ["mailto:bob@example.com?subject=x", "mailto:[REDACTED:email]?subject=x"],
    ["https://x.test/?u=bob%40example.com&v=1", "https://x.test/?u=[REDACTED:email]&v=1"],
    ["jürgen@müller.example", "[REDACTED:email]"],
    ["名前@例え.テスト", "[REDACTED:email]"],
    ["from sean.o'brien@example.com", "from [REDACTED:email]"],
    ["'bob@example.com', 'ann@example.org'", "'[REDACTED:email]', '[REDACTED:email]'"],
    ["ju\u0308rgen@example.com", "[REDACTED:email]"],
    ["संपर्क@डाटामेल.भारत", "[REDACTED:email]"],
    ["ผู้ใช้@ตัวอย่าง.ไทย", "[REDACTED:email]"],
    ["bob＠example.com", "[REDACTED:email]"],
    ["bob\u200b@exam\u00adple.com", "[REDACTED:email]"],
    ['cut off: {"to":"bob\\u0040example.com', 'cut off: {"to":"[REDACTED:email]'],
    ["<p>bob&#64;example.com</p>", "<p>[REDACTED:email]</p>"],
    ["请发送邮件到bob@example.com谢谢", "请发送邮件到[REDACTED:email]谢谢"],
    ["連絡先はbob@example.co.jpです。", "連絡先は[REDACTED:email]です。"],
    ["名前@example.com", "[REDACTED:email]"],
    ['{"to":"bob@example.com"}', '{"to":"[REDACTED:email]"}'],
    ['{"bob@example.com":1}', '{"[REDACTED:email]":1}'],
  ])("%s", (text, expected) => {
    expect(redactedText(redactEmails(), text)).toBe(expected);
  });

  test.each(["@ann said hi", "npm i @scope/pkg@1.2.3", "a @ b.c", "user@localhost", "5 @ $3.50", "icon@2x.png 100%"])(
    "leaves alone: %s",
    (text) => {
      expect(redactedText(redactEmails(), text)).toBe(text);
    },
  );
});

describe("redactCardNumbers", () => {
  test.each([
    ["pay with 4111111111111111 now", "pay with [REDACTED:card] now"],
    [`pay with ${CARD}, please`, "pay with [REDACTED:card], please"],
    ["5500-0000-0000-0004", "[REDACTED:card]"],
    ["amex 3400 000000 00009", "amex [REDACTED:card]"],
    ["visa of 13 digits: 4222222222222", "visa of 13 digits: [REDACTED:card]"],
    ["19 digits: 6304000000000000000", "19 digits: [REDACTED:card]"],
    [`${CARD} 12/27`, "[REDACTED:card] 12/27"],
    [`order 12 ${CARD} 99`, "order 12 [REDACTED:card] 99"],
    [`${CARD} ${CARD}`, "[REDACTED:card] [REDACTED:card]"],
    ['{"card": 4111111111111111, "n": 1.50}', '{"card": "[REDACTED:card]", "n": 1.50}'],
    ["4111  1111  1111  1111", "[REDACTED:card]"],
    ["4111 - 1111 - 1111 - 1111", "[REDACTED:card]"],
    ["4111.1111.1111.1111 and 3400.000000.00009", "[REDACTED:card] and [REDACTED:card]"],
    ["4111\u20131111\u20111111\u20131111", "[REDACTED:card]"],
    ["4111\u202f1111\u20091111\u200b1111", "[REDACTED:card]"],
    ["４１１１　１１１１　１１１１　１１１１", "[REDACTED:card]"],
    ["٤١١١١١١١١١١١١١١١", "[REDACTED:card]"],
    ["_4111 1111 1111 1111_", "_[REDACTED:card]_"],
    ["卡号4111111111111111是", "卡号[REDACTED:card]是"],
    ["Mir 2200 0000 0000 0004, JCB 3530111333300000", "Mir [REDACTED:card], JCB [REDACTED:card]"],
    ["Diners 3056 9309 0259 04, UnionPay 6200000000000005", "Diners [REDACTED:card], UnionPay [REDACTED:card]"],
    ['{"card":"4111-1111-1111-1111"}', '{"card":"[REDACTED:card]"}'],
  ])("%s", (text, expected) => {
    expect(redactedText(redactCardNumbers(), text)).toBe(expected);
  });

  test.each([
    "4111111111111112 fails the check",
    "1732430000003 is a time in milliseconds",
    "0.4111111111111111 is a fraction",
    "a4111111111111111 is a part of a hash",
    "41111111111111114111111111111111 is too long",
    "+49 170 1234567",
    "20261128142340 is a time, 20261128142341233 another",
    "IMEI 356938035643809, ICCID 8901410321111851072, SIRET 732 829 320 00074",
    "2000000000000000008 is a snowflake, 9783161484014 an ISBN",
    "192.168.100.100.4111.1111.1111.1111 has too many parts",
  ])("leaves alone: %s", (text) => {
    expect(redactedText(redactCardNumbers(), text)).toBe(text);
  });
});

test("what is no redactor cannot be composed", () => {
  // @ts-expect-error the point of the test
  expect(() => composeRedactors("emails")).toThrow(/expected functions, such as `redactSecrets\(\)`, got string/);
});

/** The definition, group by group: of what begins a card the longest, then on behind it. */
function redactedGroups(groups: readonly string[]): string {
  const [group, ...rest] = groups;
  if (group === undefined) return "";
  for (let count = groups.length; count > 0; count--) {
    if (redactedText(redactCardNumbers(), groups.slice(0, count).join("")) === "[REDACTED:card]")
      return ["[REDACTED:card]", redactedGroups(groups.slice(count))].filter(Boolean).join(" ");
  }
  return [group, redactedGroups(rest)].filter(Boolean).join(" ");
}

test("a run of groups loses the card numbers in it, wherever they begin and are parted", () => {
  const cards = ["4111111111111111", "4222222222222", "6304000000000000000", "٤١١١١١١١١١١١١١١١"];
  const parted = fc
    .tuple(fc.constantFrom(...cards), fc.array(fc.nat(18), { maxLength: 6 }))
    .map(([card, cuts]) => [...card].map((digit, at) => (cuts.includes(at) ? `${digit} ` : digit)).join(""));
  const piece = fc.oneof(parted, fc.stringMatching(/^[0-9]{1,6}$/));
  const run = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(" ").split(/ +/).filter(Boolean));
  fc.assert(
    fc.property(run, (groups) => {
      expect(redactedText(redactCardNumbers(), groups.join(" "))).toBe(redactedGroups(groups));
    }),
  );
});

describe("every ready-made redactor", () => {
  const all = composeRedactors(redactSecrets(), redactEmails(), redactCardNumbers());
  const secrets = [KEY, MAIL, CARD];
  const sentence = `${KEY} and ${MAIL} and ${CARD}`;
  const holdsNone = (value: unknown): void => {
    for (const secret of [KEY, "@mail.example.com", CARD]) expect(JSON.stringify(value)).not.toContain(secret);
  };

  test("acts on every string of messages, choices and usage", () => {
    const message = {
      role: "assistant",
      content: [{ type: "text", text: sentence }],
      refusal: sentence,
      tool_calls: [
        { id: "c1", type: "function", function: { name: "f", arguments: JSON.stringify({ deep: [{ x: sentence }] }) } },
        {
          id: "c2",
          type: "function",
          function: { name: "f", arguments: JSON.stringify({ json: JSON.stringify({ x: sentence }) }) },
        },
      ],
    };
    const before = trace({
      messages: [
        { role: "user", content: sentence },
        toTraceMessage({ role: "tool", tool_call_id: "c1", content: sentence }),
        toTraceMessage(message),
        toCallMessage({ ended: "failed", error: { name: "Error", message: sentence } }),
      ],
      choices: [{ index: 0, message, [MAIL]: 1, number: 4111111111111111 }],
      usage: { prompt_tokens: 3, note: sentence, nested: { list: [sentence] } },
    });
    const after = all(before);
    holdsNone(after);
    expect(parseTrace(after)).toEqual(after);
    expect(after.usage).toMatchObject({ prompt_tokens: 3 });
  });

  test("works on choices keyed by index, and on their keys", () => {
    const after = all(trace({ choices: { 0: { index: 0, message: { content: sentence } }, [MAIL]: {} } }));
    holdsNone(after);
    expect(after.choices).toMatchObject({ 0: { index: 0 } });
  });

  test("touches neither id, model, created, object nor the fingerprint", () => {
    const place = { id: MAIL, model: `ft:${KEY}`, created: 1, object: MAIL, system_fingerprint: MAIL };
    expect(all(trace(place))).toMatchObject(place);
  });

  test("leaves a trace without secrets equal, and does not change the one it was given", () => {
    const before = trace({ messages: [{ role: "user", content: sentence }] });
    const copy = structuredClone(before);
    all(before);
    expect(before).toEqual(copy);
    const clean = trace({ choices: [{ index: 0, message: { role: "assistant", content: "hi" } }], usage: { n: 1 } });
    expect(all(clean)).toEqual(clean);
  });

  test("keeps two keys apart that were redacted to the same text", () => {
    const choices = [{ "a@example.com": 1, "b@example.com": 2, ["__proto__"]: 3 }];
    expect(Object.entries(redactEmails()(trace({ choices })).choices ?? {})).toEqual([
      ["0", { "[REDACTED:email]": 1, "[REDACTED:email]#2": 2 }],
    ]);
  });

  test("keeps messages decodable and JSON valid, wherever in them a secret stands", () => {
    const text = fc.stringMatching(/^[ -~\n:]{0,20}$/);
    const spoken = fc.tuple(text, fc.constantFrom("", ...secrets), text).map((parts) => parts.join(" "));
    const message = fc.record({
      role: fc.constantFrom("user", "assistant", "tool", "developer"),
      content: fc.oneof(spoken, fc.constant(null), fc.array(fc.record({ type: fc.constant("text"), text: spoken }))),
      name: spoken,
      arguments: fc.jsonValue({ maxDepth: 2 }).map((value) => JSON.stringify({ value, said: sentence })),
    });
    fc.assert(
      fc.property(message, (said) => {
        const after = redactedMessage(all, said) as typeof said;
        expect(Object.keys(after).sort()).toEqual(Object.keys(said).sort());
        expect(after.role).toBe(said.role);
        expect(JSON.parse(after.arguments)).toHaveProperty("said");
        holdsNone(after);
      }),
    );
  });

  test("is idempotent", () => {
    const once = all(trace({ messages: [toTraceMessage({ role: "tool", name: "f", content: sentence })] }));
    expect(all(once)).toEqual(once);
  });

  const MB = 1_000_000;
  const fill = (text: string) => text.repeat(Math.ceil(MB / text.length)).slice(0, MB);
  test.each([
    ["letters", "a"],
    ["digits", "1"],
    ["spaced digits", "1 "],
    ["digits with hyphens", "4-"],
    ["at signs", "a@"],
    ["domains without end", "@a."],
    ["one address with endless labels", "a@1.1."],
    ["beginnings of keys", "sk-"],
    ["beginnings of JWTs", "eyJ-"],
    ["JWTs in a row", "eyJaaaaaaaaa."],
    ["beginnings of private keys", "-----BEGIN PRIVATE KEY-----\n"],
    ["dashes", "-"],
    ["headers after a private key's label", "\na: b"],
    ["headers on one line after a private key's label", " a: b"],
    ["dashed letters after a private key's label", "-a"],
    ["authorizations", "authorization:"],
    ["authorizations with schemes", "authorization: a-a "],
    ["names in quotes", '"password":"'],
    ["coloured beginnings of keys", "\u001b[31msk-"],
    ["escaped beginnings of keys", "\\u0041sk-"],
    ["percent-encoded beginnings of keys", "%41sk-"],
    ["beginnings of keys with underscores", "_sk-"],
    ["hex", "0123456789abcdef"],
    ["dots", "a."],
    ["slashes", "1//0"],
    ["passwords", "password="],
    ["bearers", "bearer "],
    ["schemes", "http://a:"],
    ["escapes", "\\n"],
    ["quotes", '"'],
    ["brackets", "["],
    ["percent signs", "a%40"],
    ["apostrophes", "a'"],
    ["apostrophes and at signs", "a'b@"],
    ["letters of two scripts", "字a"],
    ["ideographs with at signs", "字@"],
    ["digits in dotted groups", "4111."],
    ["digits with underscores", "1_"],
  ])("is done with a hostile megabyte of %s without running out of time or stack", (name, piece) => {
    const prefix = name.includes("private key's label") ? "-----BEGIN PRIVATE KEY-----" : "";
    for (const text of [prefix + fill(piece), JSON.stringify([prefix + fill(piece)])]) {
      expect(redactedText(all, text)).toBeTypeOf("string");
    }
  });
});

describe("redactContent", () => {
  const hello = "[REDACTED:content,chars=5,sha256=2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824]";

  test("replaces text by its length and SHA-256", async () => {
    const { messages } = await redactContent()(trace());
    expect(messages).toEqual([{ role: "user", content: hello }]);
  });

  test("keeps roles, tool names, ids, finish reasons and figures, and nothing that was said", async () => {
    const message = {
      role: "assistant",
      content: [{ type: "text", text: "a secret" }],
      reasoning_content: "a secret",
      name: "Bob",
      tool_calls: [{ id: "c1", type: "function", function: { name: "pay", arguments: '{"to":"a secret"}' } }],
    };
    const before = trace({
      messages: [
        { role: "system", content: "a secret" },
        toTraceMessage({ role: "tool", tool_call_id: "c1", content: "a secret" }),
        toTraceMessage(message, { choice: 1 }),
        toCallMessage({ ended: "failed", error: { name: "APIError", message: "a secret", status: 500 } }),
      ],
      choices: [
        { index: 0, message, finish_reason: "tool_calls", logprobs: { content: [{ token: "a secret", bytes: [97] }] } },
      ],
      usage: { prompt_tokens: 3, details: { cached: 1, note: "a secret" } },
    });
    const after = await redactContent()(before);
    expect(JSON.stringify(after)).not.toMatch(/a secret|Bob|\[97\]/);
    expect(parseTrace(after)).toEqual(after);
    expect(after.messages.map(({ role }) => role)).toEqual(["system", "user", "assistant", "system"]);
    expect(after.messages.map(fromTraceMessage)).toMatchObject([
      { message: { role: "system" } },
      { message: { role: "tool", tool_call_id: "c1" } },
      { message: { role: "assistant", tool_calls: [{ id: "c1", function: { name: "pay" } }] }, choice: 1 },
      { call: { ended: "failed", error: { name: "APIError", status: 500 } } },
    ]);
    expect(after.choices).toMatchObject([{ index: 0, finish_reason: "tool_calls", message: { role: "assistant" } }]);
    expect(after.usage).toMatchObject({ prompt_tokens: 3, details: { cached: 1 } });
  });

  test("hides what was said in numbers, too: token numbers of a prompt, a tool's result", async () => {
    const message = {
      role: "tool",
      content: [
        { type: "tool-result", toolCallId: "c1", result: 73_555 },
        { type: "text", text: "x", granted: true },
      ],
    };
    const messages = [[9_906, 1_917], [[9_906, 1_917]], 9_906].map((content) =>
      toTraceMessage({ role: "user", content }),
    );
    const choices = [{ index: 0, message: { content: 9_906 }, token_ids: [1_917], finish_reason: null }];
    const after = await redactContent()(trace({ messages: [...messages, toTraceMessage(message)], choices }));
    expect(JSON.stringify(after).replaceAll(/sha256=[0-9a-f]{64}/g, "")).not.toMatch(/9906|1917|73555|true/);
    expect(after.choices).toMatchObject([{ index: 0, finish_reason: null }]);
  });

  test("takes a word of code, and of an error's detail, for what it is", async () => {
    const content = [
      { type: "code_interpreter_call", code: "hunter2" },
      { type: "input_image", detail: "high" },
    ];
    const message = toTraceMessage({ role: "assistant", content });
    const ending = toCallMessage({
      ended: "failed",
      error: { code: "bad_request", detail: "hunter2" },
      detail: "hunter2",
    });
    const { messages } = await redactContent()(trace({ messages: [message, ending] }));
    expect(JSON.stringify(messages)).not.toContain("hunter2");
    expect(messages.map(fromTraceMessage)).toMatchObject([
      { message: { content: [{}, { detail: "high" }] } },
      { call: { error: { code: "bad_request" } } },
    ]);
  });

  test("keeps the figures of the closing message", async () => {
    const ending = { ended: "failed", error: { status: 500, code: 7 }, cut_bytes: 12 } as const;
    const { messages } = await redactContent()(trace({ messages: [toCallMessage(ending)] }));
    expect(messages).toEqual([toCallMessage(ending)]);
  });

  test("hashes with the salt, when there is one", async () => {
    const { messages } = await redactContent({ salt: "pepper" })(trace());
    expect(messages[0]?.content).toMatch(/^\[REDACTED:content,chars=5,sha256=[0-9a-f]{64}\]$/);
    expect(messages[0]?.content).not.toBe(hello);
  });
});

describe("composeRedactors", () => {
  test("hands each what the one before it left, and stays synchronous while they are", () => {
    const order: string[] = [];
    const step = (name: string) => (seen: Trace) => {
      order.push(name);
      return { ...seen, model: `${seen.model}${name}` };
    };
    const composed: Trace = composeRedactors(step("a"), step("b"))(trace());
    expect(composed.model).toBe("gpt-5ab");
    expect(order).toEqual(["a", "b"]);
  });

  test("waits for an asynchronous one", async () => {
    const composed = composeRedactors(redactEmails(), redactContent(), redactSecrets());
    expect((await composed(trace())).messages[0]?.content).toContain("chars=5");
  });

  test("waits for one of another realm, whose promises are its own", async () => {
    const slow: TraceRedactor<Promise<Trace>> = runInNewContext("async (trace) => trace");
    const composed = composeRedactors(slow, redactEmails());
    expect((await composed(trace({ messages: [{ role: "user", content: MAIL }] }))).messages[0]?.content).toContain(
      "[REDACTED:email]",
    );
  });

  test("passes on what a redactor throws or rejects with, so that nothing is sent", async () => {
    const boom = (): Trace => {
      throw new Error("boom");
    };
    expect(() => composeRedactors(boom)(trace())).toThrow("boom");
    await expect(composeRedactors(redactContent(), boom)(trace())).rejects.toThrow("boom");
  });
});
