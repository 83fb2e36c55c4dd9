"""Builds the message package tf2_msgs into the virtual environment that runs this file.

The Python index has every message package needed here but this one. Its definition is one line
(ros_dropins/tf2_msgs), and the wheels contain ROS 2's own generators; the result therefore equals
an ordinary ROS 2 install: the same wire format, the same type hash. The generators are called as
Python functions, and one compiler call makes one extension module of their output, without CMake.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

PACKAGE = "tf2_msgs"
MESSAGE_FILE = Path("msg", "TFMessage.msg")
DEFINITION = Path(__file__).resolve().parents[1] / "ros_dropins" / PACKAGE / MESSAGE_FILE
DEPENDENCIES = ("geometry_msgs", "std_msgs", "builtin_interfaces")
DISPATCH = "rosidl_typesupport_c"
"""Type support that rclpy asks for; it dispatches to the following ones."""
FASTRTPS = "rosidl_typesupport_fastrtps_c"
"""Type support by which Fast DDS serializes."""
INTROSPECTION = "rosidl_typesupport_introspection_c"
"""Type support by which Fast DDS describes the type to its peers."""
MESSAGE_LIBRARIES = ("rosidl_generator_c", "rosidl_generator_py", FASTRTPS, INTROSPECTION)
LIBRARIES = ("rosidl_runtime_c", DISPATCH, FASTRTPS, INTROSPECTION, "rcutils", "fastcdr")

PREFIX = Path(sys.prefix)
SHARE = PREFIX / "share"
LIBRARY_FOLDER = PREFIX / "lib"


def build() -> Path:
    """Generate, compile and install the package; returns its folder in site-packages."""
    with tempfile.TemporaryDirectory(prefix="tf2_msgs_") as scratch:
        work = Path(scratch)
        generate(work)
        package = work / "python" / PACKAGE
        extension = f"{PACKAGE}_s__{DISPATCH}{sysconfig.get_config_var('EXT_SUFFIX')}"
        compile_extension(work, package / extension)
        return install(package, extension)


def generate(work: Path) -> None:
    """Run the generators, in the order in which each needs the output of those before it."""
    import rosidl_generator_c
    import rosidl_generator_py
    import rosidl_generator_type_description
    import rosidl_typesupport_c
    import rosidl_typesupport_fastrtps_c
    import rosidl_typesupport_introspection_c
    from rosidl_adapter.msg import convert_msg_to_idl

    # The definition in ROS's .msg format, then as IDL with its type hash.
    (work / MESSAGE_FILE).parent.mkdir()
    shutil.copyfile(DEFINITION, work / MESSAGE_FILE)
    convert_msg_to_idl(work, PACKAGE, MESSAGE_FILE, work / MESSAGE_FILE.parent)
    rosidl_generator_type_description.generate_type_hash(arguments_file(work, "description"))

    # C structs, the type supports in C, and the Python module.
    rosidl_generator_c.generate_c(arguments_file(work, "c", "rosidl_generator_c"), False)
    rosidl_typesupport_fastrtps_c.generate_typesupport_fastrtps_c(
        arguments_file(work, "fastrtps", FASTRTPS)
    )
    rosidl_typesupport_introspection_c.generate_c(
        arguments_file(work, "introspection", INTROSPECTION)
    )
    rosidl_typesupport_c.generate_c(
        arguments_file(work, "dispatch", DISPATCH), [FASTRTPS, INTROSPECTION]
    )
    rosidl_generator_py.generate_py(
        arguments_file(work, "python", "rosidl_generator_py"), [DISPATCH]
    )
    (work / "python" / PACKAGE / "__init__.py").touch()
    for generator in ("rosidl_generator_c", FASTRTPS, INTROSPECTION):
        write_visibility_header(work, generator)


def arguments_file(work: Path, part: str, generator: str = "") -> str:
    """Write the JSON file of a generator's arguments; returns its path.

    The generator writes into work/part/tf2_msgs.
    """
    idl = MESSAGE_FILE.with_suffix(".idl")
    arguments = {
        "package_name": PACKAGE,
        "idl_tuples": [f"{work}:{idl}"],
        "output_dir": str(work / part / PACKAGE),
        "template_dir": str(SHARE / generator / "resource"),
        "target_dependencies": [],
        "ros_interface_dependencies": [
            f"{name}:{file}"
            for name in DEPENDENCIES
            for file in sorted((SHARE / name).glob("msg/*.idl"))
        ],
        "ros_interface_files": [str(work / MESSAGE_FILE)],
        "include_paths": [f"{name}:{SHARE / name}" for name in DEPENDENCIES],
        "type_description_tuples": [
            f"{idl}:{work / 'description' / PACKAGE / MESSAGE_FILE.with_suffix('.json')}"
        ],
    }
    path = work / f"{part}.json"
    path.write_text(json.dumps(arguments))
    return str(path)


def write_visibility_header(work: Path, generator: str) -> None:
    """Write the header of a generator that CMake would configure."""
    template = (
        SHARE / generator / "resource" / f"{generator}__visibility_control.h.in"
    ).read_text()
    text = template.replace("@PROJECT_NAME_UPPER@", PACKAGE.upper())
    text = text.replace("@PROJECT_NAME@", PACKAGE)
    (work / "c" / PACKAGE / "msg" / f"{generator}__visibility_control.h").write_text(text)


def compile_extension(work: Path, extension: Path) -> None:
    """Compile all generated sources into one extension module.

    It is linked to the libraries of the wheels in the environment's lib folder.
    """
    import numpy

    # Collect sources, include folders and libraries.
    sources = sorted(str(path) for pattern in ("*.c", "*.cpp") for path in work.rglob(pattern))
    # Two kinds of include folder: PREFIX/include/NAME (headers are NAME/...), and PREFIX/include
    # itself, which has fastcdr.
    headers = PREFIX / "include"
    includes = [work / part for part in ("c", "fastrtps", "introspection")]
    includes += [headers, *sorted(path for path in headers.iterdir() if path.is_dir())]
    includes += [Path(sysconfig.get_path("include")), Path(numpy.get_include())]
    libraries = [f"{name}__{kind}" for name in DEPENDENCIES for kind in MESSAGE_LIBRARIES]
    libraries += LIBRARIES

    # Compile and link. cc distinguishes C from C++ by the file's name and finds g++'s compiler by
    # itself; -w: warnings in generated code are of no use.
    compiler = os.environ.get("CC", "cc")
    command = [compiler, "-shared", "-fPIC", "-O1", "-w", "-o", str(extension), *sources]
    command += [f"-I{path}" for path in includes]
    command += [f"-L{LIBRARY_FOLDER}", f"-Wl,-rpath,{LIBRARY_FOLDER}"]
    command += [f"-l{name}" for name in libraries]
    command += ["-lstdc++"]
    subprocess.run(command, check=True)


def install(package: Path, extension: str) -> Path:
    """Replace the package in site-packages by the one just built; returns its folder.

    The dispatching type support loads the others by the names of their libraries; these become
    links to the extension, which contains all of them.
    """
    target = Path(sysconfig.get_path("platlib"), PACKAGE)
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(package, target, ignore=shutil.ignore_patterns("*.c"))
    for typesupport in (FASTRTPS, INTROSPECTION):
        library = LIBRARY_FOLDER / f"lib{PACKAGE}__{typesupport}.so"
        library.unlink(missing_ok=True)
        library.symlink_to(target / extension)
    return target


if __name__ == "__main__":
    build()
