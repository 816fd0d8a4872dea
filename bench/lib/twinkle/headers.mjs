/** Headers with which the Tinker SDK 0.16.1 asks once twinkle_client has made it fit for a Twinkle server (`init_tinker_client`). */
const KEY = 'tml-bench';
const ID = 'bench-1';

export const HEADERS = {
  accept: 'application/json',
  'content-type': 'application/json',
  'x-api-key': KEY,
  authorization: `Bearer ${KEY}`,
  'twinkle-authorization': `Bearer ${KEY}`,
  'x-request-id': ID,
  'x-ray-serve-request-id': ID,
  serve_multiplexed_model_id: ID,
  'serve-multiplexed-model-id': ID,
};
