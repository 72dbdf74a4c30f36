#include "runtime/meaning.h"

#include <gtest/gtest.h>

namespace beamcap::runtime {
namespace {

std::string past_state(const char* name) {
  const auto found = decoder_input(name);
  return found && found->meaning == Meaning::kState ? found->state : "none";
}

std::string present_state(const char* name) {
  const Named found = decoder_output(name);
  return found.meaning == Meaning::kState ? found.state : "none";
}

TEST(Meaning, PastAndPresentAreTheSameState) {
  EXPECT_EQ(past_state("past_key_values.0.decoder.key"), "0.decoder.key");
  EXPECT_EQ(present_state("present.0.decoder.key"), "0.decoder.key");
  EXPECT_EQ(past_state("past_key_values.11.value"), "11.value");
  EXPECT_EQ(present_state("present.11.value"), "11.value");
  EXPECT_EQ(present_state("present_key_values.11.value"), "11.value");
  EXPECT_EQ(past_state("past_0"), "0");
  EXPECT_EQ(present_state("present_0"), "0");
}

TEST(Meaning, ANameMustGoOnAfterThePrefix) {
  EXPECT_EQ(past_state("past"), "none");
  EXPECT_EQ(past_state("past."), "none");
  EXPECT_EQ(past_state("pastry.0"), "none");
  EXPECT_EQ(present_state("presentation"), "none");
}

TEST(Meaning, WhatAGraphNeedsMustBeKnownWhatItGivesNeedNot) {
  EXPECT_FALSE(decoder_input("speed"));
  EXPECT_FALSE(encoder_input("input_ids"));
  EXPECT_EQ(decoder_output("speed").meaning, Meaning::kUnused);
  EXPECT_EQ(encoder_output("pooler_output").meaning, Meaning::kUnused);
}

TEST(Meaning, CrossAttentionIsConstantPerImage) {
  EXPECT_TRUE(constant_per_image(kEncoderStates));
  EXPECT_TRUE(constant_per_image("0.encoder.key"));
  EXPECT_FALSE(constant_per_image("0.decoder.key"));
  EXPECT_FALSE(constant_per_image("0.key"));
  EXPECT_FALSE(constant_per_image("hidden"));
}

}  // namespace
}  // namespace beamcap::runtime
