/* An EC2 endpoint on loopback that believes no request whose signature it has not worked out
 * itself, and has a few instances whose states change as they are asked to, a little later. */
#ifndef ORDEAL_TESTS_FAKE_EC2_H
#define ORDEAL_TESTS_FAKE_EC2_H

#include <stddef.h>
#include <stdint.h>

#define FAKE_EC2_ID "AKIDEXAMPLE"
#define FAKE_EC2_SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define FAKE_EC2_REGION "eu-test-1"

struct fake_ec2;
/* Instances i-1, i-2, ... with the tags Name=n1, n2, ..., all running. */
struct fake_ec2 *fake_ec2_start(size_t instances);
void fake_ec2_stop(struct fake_ec2 *fake);
uint16_t fake_ec2_port(const struct fake_ec2 *fake);
/* The next so many requests get status 503 (RequestLimitExceeded). */
void fake_ec2_refuse(struct fake_ec2 *fake, int requests);
/* A security token that every request must bring, signed; NULL: none. Outlives the fake. */
void fake_ec2_demand_token(struct fake_ec2 *fake, const char *token);
/* Another instance with the tag of the first. */
void fake_ec2_add_twin(struct fake_ec2 *fake);
/* Calls it, on the server's thread, whenever an instance has come into another state for good
 * ("stopped", "running", "terminated"), and when one is rebooted ("rebooting"), with its name. */
typedef void fake_ec2_on_state(void *state, const char *name, const char *now);
void fake_ec2_tell(struct fake_ec2 *fake, fake_ec2_on_state *on_state, void *state);
const char *fake_ec2_state(struct fake_ec2 *fake, size_t instance);
/* What was asked for and believed: "StopInstances i-1 Force=true\n" ... */
const char *fake_ec2_log(struct fake_ec2 *fake);
/* Requests that were not believed, and why the last was not. */
int fake_ec2_disbelieved(struct fake_ec2 *fake, const char **why);

#endif
