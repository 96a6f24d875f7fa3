// SPDX-License-Identifier: Apache-2.0
/* CUnit glue: TEST_MAIN(suite name, {"what is true", function}, ...) runs the cases, prints one summary line and fails
 * the process when a case failed. Only FATAL asserts: a case stops at its first broken promise. */
#pragma once
#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>

#define ASSERT(cond)       CU_ASSERT_TRUE_FATAL(cond)
#define ASSERT_EQ(a, b)    CU_ASSERT_EQUAL_FATAL(a, b)
#define ASSERT_STREQ(a, b) CU_ASSERT_STRING_EQUAL_FATAL(a, b)

#define TEST_MAIN(suite, ...)                                                                                          \
    int main(void)                                                                                                     \
    {                                                                                                                  \
        static CU_TestInfo cases[] = {__VA_ARGS__, CU_TEST_INFO_NULL};                                                 \
        static CU_SuiteInfo suites[] = {{suite, NULL, NULL, NULL, NULL, cases}, CU_SUITE_INFO_NULL};                   \
        if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS) return 2;            \
        CU_basic_set_mode(CU_BRM_NORMAL);                                                                              \
        CU_basic_run_tests();                                                                                          \
        unsigned failed = CU_get_number_of_failures() + CU_get_number_of_tests_failed();                               \
        CU_cleanup_registry();                                                                                         \
        return failed == 0 ? 0 : 1;                                                                                    \
    }
