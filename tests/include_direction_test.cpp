#include <gtest/gtest.h>
TEST(IncludeDirection, Placeholder) {}
