/* The entrance of the compiled HTTP path: begins one of its modules, and says what they were made of.

   It is linked into mypyc's library. mypyc would add a library for each module, which only does what `begin` does, and
   which a master that keeps its code in memory would have to keep, too. `SOURCES` and `MODULES` are written by the build. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "sources.h"

static PyObject *begin(PyObject *self, PyObject *capsule)
{
    if (!PyCapsule_CheckExact(capsule)) {
        PyErr_SetString(PyExc_TypeError, "begin() takes the capsule of a module");
        return NULL;
    }
    PyObject *(*start)(void) = (PyObject *(*)(void))PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule));
    return start == NULL ? NULL : start();
}

static PyMethodDef methods[] = {
    {"begin", begin, METH_O, "Run the body of the module behind this capsule, and give the module."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_entrance", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__entrance(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL)
        return NULL;
    PyObject *sources = PyTuple_New(sizeof SOURCES / sizeof *SOURCES);
    PyObject *modules = PyTuple_New(sizeof MODULES / sizeof *MODULES);
    if (sources == NULL || modules == NULL)
        goto failed;
    for (size_t at = 0; at < sizeof SOURCES / sizeof *SOURCES; at++) {
        PyObject *pair = Py_BuildValue("(ss)", SOURCES[at][0], SOURCES[at][1]);
        if (pair == NULL)
            goto failed;
        PyTuple_SET_ITEM(sources, at, pair);
    }
    for (size_t at = 0; at < sizeof MODULES / sizeof *MODULES; at++) {
        PyObject *name = PyUnicode_FromString(MODULES[at]);
        if (name == NULL)
            goto failed;
        PyTuple_SET_ITEM(modules, at, name);
    }
    if (PyModule_AddObject(module, "SOURCES", sources) == 0) {
        sources = NULL;
        if (PyModule_AddObject(module, "MODULES", modules) == 0)
            return module;
    }
failed:
    Py_XDECREF(sources);
    Py_XDECREF(modules);
    Py_DECREF(module);
    return NULL;
}
