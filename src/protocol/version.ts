/**
 * Version of the wire contract. Raise it when a frame or method changes in a way an older side cannot read;
 * the handshake refuses a peer of another version and says which side to update.
 */
export const PROTOCOL_VERSION = 1;
