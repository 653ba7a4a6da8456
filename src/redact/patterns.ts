/**
 * What the ready-made redactors look for. Every pattern runs in linear time, whatever the text: where a run of
 * characters must be followed by something, the run may start at one place only, or its length is bounded. A test
 * feeds them hostile megabytes.
 *
 * Ours, because what exists did not hold (tried in November 2026): the patterns of @logtape/redaction 2.3 take 6 s
 * for 100 KB of "a" and know no API keys; openredaction 1.1 is 3.8 MB and let a `sk-proj-…` key and a plain e-mail
 * address pass; @secretlint's preset finds but does not replace; redact-pii brings Google's DLP client.
 */

/** Gives back the text without what it looks for. `key` is the name under which the text stands in its object. */
export type TextRedactor = (text: string, key?: string) => string;

/** No quotes, no backslash, no white space: it may stand anywhere in JSON, in a URL, in an encoded message. */
const marker = (what: string): string => `[REDACTED:${what}]`;

// A token starts where no letter, digit, _ or - stands before (but for the _ of Markdown), or after what stands for
// another character: an escape of JSON that is itself text (cut-off tool arguments, for example) or of a URL, a terminal's
// colour. These end with letters or digits, which would otherwise look like a part of the token.
const START = String.raw`(?:(?<![\w-])|(?<=\\[nrt]|\\u[0-9a-fA-F]{4}|%[0-9A-F]{2}|(?:\x1b|\\u001b)\[[0-9;]{0,12}m|(?<![\w-])_{1,3}))`;

const KEY_SHAPES: readonly RegExp[] = [
  // OpenAI, Anthropic, DeepSeek, OpenRouter, Langfuse, Cerebras; a digit or capital tells keys from sk-learn-contrib-…
  /(?:sk|csk|[sp]k-lf)-(?=[\w-]*[A-Z0-9])[\w-]{16,}/,
  // Groq, Hugging Face, Replicate, Fireworks, npm, Notion, Linear, Supabase, DigitalOcean, E2B; then with dashes inside:
  // Together, Docker, Figma, LangSmith, Pinecone, Vercel, Grafana, PlanetScale
  /(?:gsk|hf|api_org|r8|fw|npm|ntn|lin_api|sbp|do[opr]_v1|e2b)_[A-Za-z0-9]{20,}/,
  /(?:tgp_v1|dckr_pat|figd|lsv2_[ps][tk]|pcsk|vc[acikpr]|glsa|sb_secret|pscale_(?:tkn|pw))_(?=[\w-]*[A-Z0-9])[\w-]{20,}/,
  // xAI, Perplexity, NVIDIA, Postman, Google clients, PyPI, Tavily; GitLab; Voyage, which has nothing but its length
  /(?:xai|pplx|nvapi|PMAK|GOCSPX|pypi|tvly)-(?=[\w-]*[A-Z0-9])[\w-]{20,}/,
  /gl(?:pat|dt|rt|rtr|ptt|cbt|soat|ft|imt|agent|oas)-(?=[\w-]*[A-Z0-9])[\w-]{20,}(?:\.[0-9a-z]{2}\.[0-9a-z]{7,9})?/,
  /pa-(?=[\w-]*[A-Z])(?=[\w-]*[0-9])[\w-]{43}(?![\w-])/,
  // Mailgun, Firecrawl, Databricks, Twilio; ElevenLabs; Jina; Z.ai
  /(?:key-|fc-|dapi|SK)[0-9a-f]{32}(?![A-Za-z0-9])/,
  /sk_[0-9a-f]{48}(?!\w)/,
  /jina_[0-9a-f]{32}[\w-]{10,}/,
  /[0-9a-f]{32}\.(?=[a-z0-9]*[A-Z])[A-Za-z0-9]{16}(?!\w)/,
  // HashiCorp Vault, Doppler, Sentry, Atlassian
  /hv[bs]\.[\w-]{20,}/,
  /dp\.(?:pt|st|ct|sa)\.(?:[\w-]{1,40}\.)?\w{40,}/,
  /sntry[su]_[\w+/=-]{30,}/,
  /AT(?:ATT|CTT)[\w-]{50,}(?:=[0-9A-F]{8})?/,
  // Stripe
  /(?:[srp]k_(?:org_)?(?:live|test)|whsec)_[A-Za-z0-9+/=]{10,}/,
  // GitHub
  /(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,})/,
  // AWS access key ids and Bedrock, Google API keys, access and refresh tokens, Azure keys and client secrets
  /(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])/,
  /(?:ABSK|bedrock-api-key-)[A-Za-z0-9+/]{50,}={0,2}/,
  /AIza[\w-]{30,}/,
  /AQ\.[\w-]{35,}/,
  /ya29\.[\w-]{20,}(?:\.[\w-]+)*/,
  /1\/\/0[\w-]{40,}/,
  /[A-Za-z0-9]{52}JQQJ99[A-Za-z0-9]{26}(?![A-Za-z0-9])/,
  /[\w~.]{3}[0-9]Q~[\w~.-]{31,34}/,
  // Slack, SendGrid, Shopify, age, Telegram and Discord bots (an id in base64 goes before), webhooks
  /(?:xox[a-z]|xapp)-[\w-]{10,}/,
  /SG\.[\w-]{16,}\.[\w-]{16,}/,
  /shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}/,
  /AGE-SECRET-KEY-1[A-Z0-9]{40,}/,
  /[0-9]{8,10}:AA[\w-]{32,}/,
  /(?:[MNO][DTjz][AEIMQUYcgk][w-z0-5]){5}[\w-]{3,8}\.[\w-]{6}\.[\w-]{27,40}/,
  /https:\/\/(?:hooks\.slack\.com\/(?:services|workflows|triggers)|discord(?:app)?\.com\/api\/webhooks)\/[\w/-]{20,}/,
  // JWTs: encrypted ones of five parts, of which the second may be empty; of three, and an unsigned one ends with the dot
  /eyJ[\w-]{8,}\.[\w-]*(?:\.[\w-]{8,}){3}/,
  /eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*/,
];

const API_KEYS = new RegExp(`${START}(?:${KEY_SHAPES.map(({ source }) => source).join("|")})`, "g");

/** `Authorization: …` in headers, JSON and curl commands; and a `Bearer …` by itself, unless it is prose. */
const AUTHORIZATION =
  /(authorization\\?["']?\s{0,4}[:=]\s{0,4}\\?["']?(?:(?:bearer|basic|token|apikey|digest)\s{1,4}|(?:[a-z][a-z-]{1,19}|AWS4-HMAC-SHA256)[ \t]{1,4}(?=[\w.~+/=:-]{16})(?=[\w.~+/=:-]{0,200}[0-9])|(?=[\w.~+/=:-]{0,200}[0-9])))[\w.~+/=:-]{6,}/gi;
const BEARER = /(\bbearer\s{1,4})(?=[\w.~+/=-]*[0-9])[\w.~+/=-]{16,}/gi;

/** Names whose value is a secret, whatever it looks like. Not `token`: a token of `logprobs` is a piece of text. */
const SECRET_NAME =
  "(?:(?:api|secret|access|private|subscription|encryption|signing)[ _-]?key|secret[ _-]?access[ _-]?key|(?:access|auth|refresh|bearer|session|security|bot|api)[_-]?token|secret|password|passwd|passphrase)";
const SECRET_KEY = new RegExp(`${SECRET_NAME}$|(?:^|-)authorization$`, "i");
/** `OPENAI_API_KEY=…`, `x-api-key: …`, `password = "…"`; a digit tells values from code such as process.env.API_KEY. */
const ASSIGNMENT = new RegExp(
  String.raw`(${SECRET_NAME}\\?["']?\s{0,4}[:=：]\s{0,4}\\?["']?)(?=[^\s"'\\,;[\]{}()<>]{0,200}[0-9])[^\s"'\\,;[\]{}()<>]{8,}`,
  "gi",
);
/** `"password": "…"`: name and value in quotes are data, whatever the value. In whole JSON the name is known; this is for parts. */
const QUOTED = new RegExp(String.raw`(${SECRET_NAME}(\\?["'])\s{0,4}:\s{0,4}\2)[^"'\\\n]{1,200}(?=\2)`, "gi");
/** Signatures and tokens of URLs, keys of connection strings. */
const PARAMETER =
  /([?&](?:token|sig|signature|x-(?:amz|goog)-signature|x-amz-security-token)=|\b(?:Account|SharedAccess)Key=)(?=[\w%+/=.~-]{0,200}[0-9])[\w%+/=.~-]{16,}/gi;
/** The password in `postgres://user:password@host`. */
const URL_PASSWORD = /(\b[a-z][a-z0-9+.-]{1,20}:\/\/[^\s:/@"']{0,100}:)[^\s/?"'[\]]{1,200}(?=@)/gi;

const KEY_LABEL = "[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----";
const GAP = String.raw`(?:\s|\\[nr])+`;
/** A whole block; or, cut off before its end, the label with the base64 lines that follow. */
const PRIVATE_KEY = new RegExp(
  `-----BEGIN ${KEY_LABEL}(?:[^-]*(?:-(?!----)[^-]*)*-----END ${KEY_LABEL}|(?:${GAP}[A-Za-z0-9+/=]{20,})+(?:${GAP}[A-Za-z0-9+/=]+$)?)`,
  "g",
);

/** Keys and tokens: by their shape, by the name they stand under, by the header they travel in. */
export const redactSecretsInText: TextRedactor = (text, key) => {
  if (key !== undefined && text !== "" && SECRET_KEY.test(key)) return isMarker(text) ? text : marker("secret");
  return text
    .replace(PRIVATE_KEY, marker("private-key"))
    .replace(AUTHORIZATION, `$1${marker("secret")}`)
    .replace(BEARER, `$1${marker("secret")}`)
    .replace(API_KEYS, marker("secret"))
    .replace(PARAMETER, `$1${marker("secret")}`)
    .replace(QUOTED, `$1${marker("secret")}`)
    .replace(ASSIGNMENT, `$1${marker("secret")}`)
    .replace(URL_PASSWORD, `$1${marker("secret")}`);
};

const isMarker = (text: string): boolean => /^\[REDACTED:[^\]]*\]$/.test(text);

const LOCAL = String.raw`[\p{L}\p{N}._%+-]`;
const LABEL = String.raw`[\p{L}\p{N}-]+`;
// The look-behind lets a run of address characters start at one place only: without it, a long run without an @ is
// scanned again from each of its characters.
const EMAIL = new RegExp(String.raw`(?<!${LOCAL})${LOCAL}+(?:@|%40)(?:${LABEL}\.)+\p{L}[\p{L}\p{N}-]+`, "gu");

/** E-mail addresses, international ones and `%40` in URLs included. */
export const redactEmailsInText: TextRedactor = (text) =>
  text.includes("@") || text.includes("%40") ? text.replace(EMAIL, marker("email")) : text;

// Groups of digits with one space or hyphen between; not inside words (hashes, ids), not after a decimal point.
const DIGIT_RUN = /(?:(?<!\w)(?<!\d\.)|(?<=\\[nrt]))\d+(?:[ \u00a0-]\d+)*(?!\w)/g;

/** Card numbers: 13 to 19 digits, with or without separators, that pass the Luhn check. */
export const redactCardNumbersInText: TextRedactor = (text) => text.replace(DIGIT_RUN, redactRun);

function redactRun(run: string): string {
  const groups = [...run.matchAll(/\d+/g)].map((match) => ({ digits: match[0], start: match.index }));
  let redacted = "";
  let done = 0;
  for (let first = 0; first < groups.length; first++) {
    const end = endOfCard(groups, first);
    const start = groups[first]?.start ?? 0;
    if (end === undefined || start < done) continue;
    redacted += run.slice(done, start) + marker("card");
    done = end;
  }
  return redacted + run.slice(done);
}

/** Where the longest card number that starts with this group ends. */
function endOfCard(groups: readonly { digits: string; start: number }[], first: number): number | undefined {
  let digits = "";
  let end: number | undefined;
  for (let index = first; index < groups.length; index++) {
    const group = groups[index];
    if (group === undefined || digits.length + group.digits.length > 19) break;
    digits += group.digits;
    if (isCardNumber(digits)) end = group.start + group.digits.length;
  }
  return end;
}

// No issuer's numbers begin with 0, and only airlines' with 1: as a time in milliseconds does, of which one in ten
// passes the check.
const isCardNumber = (digits: string): boolean => digits.length >= 13 && /^[2-9]/.test(digits) && passesLuhn(digits);

function passesLuhn(digits: string): boolean {
  let sum = 0;
  for (let index = 0; index < digits.length; index++) {
    const digit = Number(digits[digits.length - 1 - index]);
    const weighed = index % 2 === 1 ? digit * 2 : digit;
    sum += weighed > 9 ? weighed - 9 : weighed;
  }
  return sum % 10 === 0;
}
