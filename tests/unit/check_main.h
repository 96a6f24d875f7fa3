// SPDX-License-Identifier: Apache-2.0
/* CUnit glue: TEST_MAIN(suite name, {"what is true", function}, ...) runs the cases, prints one summary line and fails
 * the process when a case failed. Only FATAL asserts: a case stops at its first broken promise. An argument runs only
 * the cases whose names begin with it. */
#pragma once
#include <CUnit/Basic.h>
#include <CUnit/CUnit.h>
#include <stdbool.h>
#include <string.h>

#define ASSERT(cond)       CU_ASSERT_TRUE_FATAL(cond)
#define ASSERT_EQ(a, b)    CU_ASSERT_EQUAL_FATAL(a, b)
#define ASSERT_STREQ(a, b) CU_ASSERT_STRING_EQUAL_FATAL(a, b)

/* Cases whose names do not begin with `only` are left out; how many are left. */
static inline unsigned test_pick(const CU_TestInfo *cases, const char *suite, const char *only)
{
    unsigned left = 0;
    CU_set_fail_on_inactive(CU_FALSE);
    for (const CU_TestInfo *c = cases; c->pName != NULL; c++) {
        CU_pTest test = CU_get_test(CU_get_suite(suite), c->pName);
        bool wanted = strncmp(c->pName, only, strlen(only)) == 0;
        left += wanted;
        if (test != NULL && !wanted) (void)CU_set_test_active(test, CU_FALSE);
    }
    return left;
}

#define TEST_MAIN(suite, ...)                                                                                          \
    int main(int argc, char **argv)                                                                                    \
    {                                                                                                                  \
        static CU_TestInfo cases[] = {__VA_ARGS__, CU_TEST_INFO_NULL};                                                 \
        static CU_SuiteInfo suites[] = {{suite, NULL, NULL, NULL, NULL, cases}, CU_SUITE_INFO_NULL};                   \
        if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS) return 2;            \
        if (argc > 1 && test_pick(cases, suite, argv[1]) == 0) return 2;                                               \
        CU_basic_set_mode(CU_BRM_NORMAL);                                                                              \
        CU_basic_run_tests();                                                                                          \
        unsigned failed = CU_get_number_of_failures() + CU_get_number_of_tests_failed();                               \
        CU_cleanup_registry();                                                                                         \
        return failed == 0 ? 0 : 1;                                                                                    \
    }
