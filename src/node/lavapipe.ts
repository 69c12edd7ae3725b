import { readdir } from 'node:fs/promises'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'

/**
 * Lavapipe's driver files in the folders where a Vulkan loader looks on Linux, joined as in VK_DRIVER_FILES;
 * undefined if there are none. Several files are one driver built for several processors: the loader takes its own.
 */
export async function findLavapipe(): Promise<string | undefined> {
  const files: string[] = []
  for (const folder of driverFolders()) {
    for (const name of await list(folder)) if (/^lvp_icd.*\.json$/.test(name)) files.push(join(folder, name))
  }
  return files.length > 0 ? files.join(delimiter) : undefined
}

function driverFolders(): string[] {
  const { XDG_CONFIG_HOME, XDG_CONFIG_DIRS, XDG_DATA_HOME, XDG_DATA_DIRS } = process.env
  const roots = [
    XDG_CONFIG_HOME || join(homedir(), '.config'),
    ...(XDG_CONFIG_DIRS || '/etc/xdg').split(delimiter),
    '/etc',
    XDG_DATA_HOME || join(homedir(), '.local/share'),
    ...(XDG_DATA_DIRS || '/usr/local/share:/usr/share').split(delimiter),
  ]
  return [...new Set(roots)].filter((root) => root !== '').map((root) => join(root, 'vulkan/icd.d'))
}

async function list(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // Most of the folders do not exist, and a loader passes over those that it may not read.
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EACCES') return []
    throw error
  }
}
