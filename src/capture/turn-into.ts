/** Ready-made objects get the methods of a subclass, and their users notice nothing. */

type Subclass = { readonly prototype: object };

/**
 * One step for all the methods together, which shows less than fields of the object's own would.
 *
 * @returns false for an object of some other class than the one that is extended, and a frozen one; nothing is changed
 *   then.
 */
export function turnInto(object: object, { prototype }: Subclass): boolean {
  if (Object.getPrototypeOf(object) !== Object.getPrototypeOf(prototype)) return false;
  return Reflect.setPrototypeOf(object, prototype);
}

/**
 * Constructs what it is given: a class that extends it gives ready-made objects fields of its own, which nobody else
 * sees. With a `WeakMap` instead, following a call took some 6,000 machine instructions more, of 90,000.
 */
export class ReadyMade {
  constructor(object: object) {
    // biome-ignore lint/correctness/noConstructorReturn: that is what it is for
    return object;
  }
}

/** Whoever asks an object for its class is told the one it was made by. */
export function passForParent(subclass: Subclass): void {
  Object.defineProperty(subclass.prototype, "constructor", { value: Object.getPrototypeOf(subclass) });
}
