/** A link carries frames to and from one rank, in order, without loss while it is up. ZeroMQ and memory both offer it. */
import type { FromRank, ToRank } from '../protocol/frames.js';
import type { CurveCredentials } from '../protocol/launch.js';

export interface Link {
  /** Queue a frame. After `close` it does nothing. */
  send(frame: ToRank): void;
  /** The one receiver of frames; frames that came earlier are handed over at once. */
  receive(listener: (frame: FromRank) => void): void;
  close(): void;
}

/** A place where ranks connect. */
export interface Hub extends AsyncDisposable {
  /** What a rank connects to, for {@link LaunchSpec.endpoint}. */
  readonly endpoint: string;
  /** What the rank of that identity needs to connect: null where the address needs nothing. Its keys end with its link. */
  credentials(identity: string): CurveCredentials | null;
  /** The link of the rank that connects as `identity`. Frames to it wait until it has sent its first. */
  link(identity: string): Link;
  /** Everything that arrives under an identity nobody asked for is dropped and counted here. */
  readonly strangers: number;
}
