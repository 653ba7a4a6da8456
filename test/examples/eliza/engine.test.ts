import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { matchWords, type Script, startSession } from "../../../examples/eliza/engine.ts";
import { listener } from "../../../examples/eliza/script.ts";

const tiny: Script = {
  pre: { "i'm": "i am" },
  post: { my: "your", i: "you", am: "are", you: "I" },
  synonyms: { sad: ["sad", "blue"] },
  keywords: [
    { word: "am", rank: 1, rules: [{ pattern: "* i am *", answers: ["Why $2?", "Since when $2?"] }] },
    { word: "blue", rank: 2, rules: [{ pattern: "* @sad *", answers: ["Poor you, $2."] }] },
    {
      word: "my",
      rank: 3,
      memory: [{ pattern: "* my *", answers: ["Back to your $2."] }],
      rules: [{ pattern: "* my *", answers: ["Your $2?"] }],
    },
    { word: "also", rank: 0, rules: [{ pattern: "*", answers: ["=am"] }] },
  ],
  fallback: ["Go on.", "And?"],
};

describe("the engine", () => {
  it("takes a clause apart and puts it together with the persons exchanged", () => {
    expect(startSession(tiny).reply("I'm sure you like my cat")).toBe("Your cat?");
    expect(startSession(tiny).reply("I'm sure that I see you")).toBe("Why sure that you see I?");
  });

  it("prefers the keyword with the highest rank", () => {
    expect(startSession(tiny).reply("I am blue")).toBe("Poor you, blue.");
  });

  it("answers the first clause that holds a keyword", () => {
    expect(startSession(tiny).reply("Well, it rained; I am late, my bus left")).toBe("Why late?");
  });

  it("lets the answers of a rule take turns", () => {
    const session = startSession(tiny);
    expect(["I am old", "I am new", "I am old"].map((said) => session.reply(said))).toEqual([
      "Why old?",
      "Since when new?",
      "Why old?",
    ]);
  });

  it("returns to what it remembers when nothing else fits, once", () => {
    const session = startSession(tiny);
    session.reply("My house burned");
    expect([session.reply("Hm"), session.reply("Hm"), session.reply("Hm")]).toEqual([
      "Back to your house burned.",
      "Go on.",
      "And?",
    ]);
  });

  it("hands a clause over to another keyword", () => {
    expect(startSession(tiny).reply("Also i am tall")).toBe("Why tall?");
  });

  it("starts a variant with other answers", () => {
    expect(startSession(tiny, 1).reply("I am old")).toBe("Since when old?");
  });

  it("tells captured runs of words and synonyms apart", () => {
    expect(matchWords(["*", "@sad", "*"], ["so", "Blue", "today"], tiny.synonyms)).toEqual([
      ["so"],
      ["Blue"],
      ["today"],
    ]);
    expect(matchWords(["a", "b"], ["a"], {})).toBeUndefined();
  });
});

describe("the listener's script", () => {
  it("holds a conversation", () => {
    const session = startSession(listener);
    const said = [
      "Hello",
      "I'm unhappy",
      "I need some help",
      "Perhaps I could get along with my mother.",
      "You're afraid of me",
      "Hmm…",
    ];
    expect(said.map((text) => session.reply(text))).toMatchInlineSnapshot(`
      [
        "Good day. What is on your mind?",
        "I regret to hear that you are unhappy. Since when?",
        "What would change if you had some help?",
        "Tell me more about your mother.",
        "What makes you think that I am afraid of you?",
        "Earlier you spoke of your mother. Let us return to that.",
      ]
    `);
  });

  it("has an answer to everything, and never leaves a mark of the script in it", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.string({ unit: "grapheme" }), fc.constantFrom(...words)), { maxLength: 30 }),
        (said) => {
          const answer = startSession(listener).reply(said.join(" "));
          expect(answer).not.toBe("");
          expect(answer).not.toMatch(/^=|\$\d/);
        },
      ),
    );
  });

  it("hands over only to keywords that exist", () => {
    const words = new Set(listener.keywords.map(({ word }) => word));
    const targets = listener.keywords
      .flatMap(({ rules }) => rules.flatMap(({ answers }) => answers))
      .filter((answer) => answer.startsWith("="));
    expect(targets.filter((target) => !words.has(target.slice(1)))).toEqual([]);
  });
});

const words = [...listener.keywords.map(({ word }) => word), "i", "me", "my", "you", "remember", "do", "want", "happy"];
