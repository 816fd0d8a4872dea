/** What a model's variables say of S3, over the server's. */
import { expect, it } from 'vitest';
import { readS3Settings } from '../../../../src/serving/bucket/s3-settings.js';

const KEYS = { AWS_ACCESS_KEY_ID: 'AKIAOWN', AWS_SECRET_ACCESS_KEY: 'own-secret' };
const SERVER = {
  AWS_ACCESS_KEY_ID: 'AKIASERVER',
  AWS_SECRET_ACCESS_KEY: 'server-secret',
  AWS_SESSION_TOKEN: 'server-token',
  AWS_REGION: 'eu-west-1',
  AWS_ENDPOINT_URL_S3: 'http://server',
};
const OWN = { accessKeyId: 'AKIAOWN', secretAccessKey: 'own-secret' };

it.each([
  [{}, {}],
  // Not S3's, or harmless.
  [{ HF_HOME: '/x', AWS_EC2_METADATA_DISABLED: 'true', AWS_REGION: '' }, {}],
  [KEYS, { credentials: OWN }],
  [{ ...KEYS, AWS_SESSION_TOKEN: 'own-token' }, { credentials: { ...OWN, sessionToken: 'own-token' } }],
  [
    { AWS_SECRET_ACCESS_KEY: 'rotated' },
    { credentials: { accessKeyId: 'AKIASERVER', secretAccessKey: 'rotated', sessionToken: 'server-token' } },
  ],
  [{ AWS_PROFILE: 'dev' }, { profile: 'dev' }],
  [{ AWS_PROFILE: 'dev', AWS_CONFIG_FILE: '/c' }, { profile: 'dev' }],
  [{ ...KEYS, AWS_ROLE_ARN: 'arn:aws:iam::1:role/r' }, { credentials: OWN }],
  [{ AWS_REGION: 'us-east-2', AWS_DEFAULT_REGION: 'us-east-1' }, { region: 'us-east-2' }],
  [{ AWS_DEFAULT_REGION: 'us-east-1' }, { region: 'us-east-1' }],
  [{ AWS_ENDPOINT_URL: 'http://own' }, { endpoint: 'http://own' }],
  [{ AWS_ENDPOINT_URL: 'http://all', AWS_ENDPOINT_URL_S3: 'http://s3' }, { endpoint: 'http://s3' }],
  [
    { AWS_USE_FIPS_ENDPOINT: 'true', AWS_USE_DUALSTACK_ENDPOINT: 'false' },
    { useFipsEndpoint: true, useDualstackEndpoint: false },
  ],
])('%j', (own, settings) => {
  expect(readS3Settings(own, SERVER)).toEqual(settings);
});

it.each([
  [{ AWS_ACCESS_KEY_ID: 'AKIAOWN' }, /AWS_ACCESS_KEY_ID without AWS_SECRET_ACCESS_KEY/],
  [{ AWS_SECRET_ACCESS_KEY: 'own-secret' }, /AWS_SECRET_ACCESS_KEY without AWS_ACCESS_KEY_ID/],
  [{ AWS_SESSION_TOKEN: 'own-secret' }, /AWS_SESSION_TOKEN without AWS_ACCESS_KEY_ID/],
  [{ AWS_ROLE_ARN: 'own-secret' }, /AWS_ROLE_ARN; set that in the server’s environment/],
  [{ AWS_SHARED_CREDENTIALS_FILE: 'own-secret' }, /AWS_SHARED_CREDENTIALS_FILE/],
])('%j is refused without its value', (own, words) => {
  const read = (): unknown => readS3Settings(own, {});
  expect(read).toThrow(words);
  expect(read).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  expect(read).not.toThrow(/own-secret|AKIAOWN/);
});
