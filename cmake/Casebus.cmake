# The house's own CMake words: one target a folder, one line a source, one line a test.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

option(CASEBUS_WERROR "Warnings are errors" OFF)
option(CASEBUS_FUZZ "Build the libFuzzer targets (clang)" OFF)
set(CASEBUS_SANITIZE "" CACHE STRING "Sanitizers to build with, such as address,undefined or thread")

add_library(casebus_flags INTERFACE)
target_include_directories(casebus_flags INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/include ${PROJECT_BINARY_DIR})
target_compile_definitions(casebus_flags INTERFACE _GNU_SOURCE CASEBUS_RELEASE="${PROJECT_VERSION}"
    CASEBUS_LOCALEDIR="${CMAKE_INSTALL_FULL_LOCALEDIR}")
target_compile_options(casebus_flags INTERFACE -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes
    -Wpointer-arith -Wvla -Wformat=2 -Wno-format-nonliteral -fstack-protector-strong)
if(CASEBUS_WERROR)
    target_compile_options(casebus_flags INTERFACE -Werror)
endif()
if(CASEBUS_SANITIZE)
    target_compile_options(casebus_flags INTERFACE -fsanitize=${CASEBUS_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    target_link_options(casebus_flags INTERFACE -fsanitize=${CASEBUS_SANITIZE})
endif()
if(CASEBUS_FUZZ)
    target_compile_options(casebus_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
target_link_options(casebus_flags INTERFACE -Wl,-z,relro,-z,now)

# casebus_package(zmq libzmq): an imported target pkg::zmq for a Debian library.
function(casebus_package name module)
    if(NOT TARGET pkg::${name})
        pkg_check_modules(${name} REQUIRED IMPORTED_TARGET GLOBAL ${module})
        add_library(pkg::${name} ALIAS PkgConfig::${name})
    endif()
endfunction()

# libcsv has no .pc file: pkg::csv.
find_library(CSV_LIBRARY csv REQUIRED)
add_library(pkg::csv UNKNOWN IMPORTED GLOBAL)
set_target_properties(pkg::csv PROPERTIES IMPORTED_LOCATION ${CSV_LIBRARY})

# casebus_library(base SOURCES error.c ... LINK pkg::crypto ...): the target of one folder, casebus_base.
function(casebus_library name)
    cmake_parse_arguments(LIB "" "" "SOURCES;LINK" ${ARGN})
    add_library(casebus_${name} STATIC ${LIB_SOURCES})
    target_link_libraries(casebus_${name} PUBLIC casebus_flags ${LIB_LINK})
endfunction()

# casebus_softhsm(NAME): the test uses SoftHSM2, whose own leaks are not ours; to know them takes whole stacks.
function(casebus_softhsm name)
    if(CASEBUS_SANITIZE AND TEST ${name})
        set_property(TEST ${name} APPEND PROPERTY ENVIRONMENT "ASAN_OPTIONS=fast_unwind_on_malloc=0"
            "LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/data/softhsm.supp:print_suppressions=0")
    endif()
endfunction()

# casebus_test(error_test LABELS unit LINK casebus_base [SOURCES more.c] [TIMEOUT 60] [COST 30]): a cmocka program NAME.c beside its source.
function(casebus_test name)
    cmake_parse_arguments(T "" "TIMEOUT;COST" "LABELS;LINK;SOURCES;ARGS" ${ARGN})
    if(NOT BUILD_TESTING)
        return()
    endif()
    casebus_package(cmocka cmocka)
    add_executable(${name} ${name}.c ${T_SOURCES})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
    target_link_libraries(${name} PRIVATE ${T_LINK} pkg::cmocka)
    target_compile_definitions(${name} PRIVATE TEST_DATA_DIR="${PROJECT_SOURCE_DIR}/tests/data" SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    add_test(NAME ${name} COMMAND ${name} ${T_ARGS})
    if(NOT T_TIMEOUT)
        set(T_TIMEOUT 120)
    endif()
    if(NOT T_LABELS)
        set(T_LABELS unit)
    endif()
    set_tests_properties(${name} PROPERTIES LABELS "${T_LABELS}" TIMEOUT ${T_TIMEOUT})
    if(T_COST) # about its seconds under ASan: the longest tests begin first
        set_tests_properties(${name} PROPERTIES COST ${T_COST})
    endif()
endfunction()
