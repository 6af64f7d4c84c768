# A small Facter for the tests: the switches, the loading rules and the ways to fail of one
# version, which is the first argument (1.6.18, 1.7.6, 2.5.7, 4.10.0), as they were observed on
# the real ones. It has few facts of its own.
require 'json'

VERSION_TEXT = ARGV.shift
MAJOR, MINOR = VERSION_TEXT.split('.').map(&:to_i)
EXTERNAL = MAJOR > 1 || MINOR >= 7

module Facter
  FACTS = {}
  ERRORS = []
  class Resolution
    def setcode(command = nil, &block)
      @code = command ? -> { Facter::Util::Resolution.exec(command) } : block
    end
    def timeout=(_); end
    def value
      @code.call
    rescue StandardError => e
      ERRORS << e.message
      nil
    end
  end
  def self.add(name, _options = {}, &block)
    r = Resolution.new
    r.instance_eval(&block)
    FACTS[name.to_s.downcase] = r
  end
  def self.value(name)
    v = FACTS[name.to_s]
    v.is_a?(Resolution) ? v.value : v
  end
  def self.which(name)
    (ENV['PATH'].split(':') + ['/sbin', '/usr/sbin']).map { |d| File.join(d, name) }.find { |p| File.file?(p) && File.executable?(p) }
  end
  module Util
    class Resolution
      def self.exec(command)
        out = `#{command} 2>/dev/null`
        $?.exitstatus == 127 ? nil : out.chomp
      end
    end
  end
  module Core
    module Execution
      def self.which(name) Facter.which(name) end
      def self.execute(command, _ = {}) Facter::Util::Resolution.exec(command) end
    end
  end
end

def usage_error(option)
  if MAJOR >= 3
    puts 'Usage'
    exit 1
  end
  warn "invalid option: #{option}"
  exit 12
end

external_dirs = []
legacy = MAJOR < 3
format = nil
until ARGV.empty?
  case option = ARGV.shift
  when '--version' then puts VERSION_TEXT; exit 0
  when '--json' then format = :json
  when '--show-legacy' then MAJOR >= 3 ? legacy = true : usage_error(option)
  when '--external-dir'
    usage_error(option) unless EXTERNAL
    MAJOR >= 3 ? external_dirs << ARGV.shift : external_dirs = [ARGV.shift]
  when /\A-/ then usage_error(option)
  end
end
exit 1 unless format == :json
external_dirs.each { |d| exit 1 unless MAJOR >= 3 || File.directory?(d) }

Facter::FACTS.merge!('facterversion' => VERSION_TEXT, 'path' => ENV['PATH'])
Facter::FACTS.merge!('macaddress' => '52:54:00:00:00:01', 'macaddress_eth0' => '52:54:00:00:00:01',
                     'macaddress_dummy0' => '1e:00:00:00:00:99', 'serialnumber' => 1234, 'uuid' => 'AAAA-BBBB') if legacy

$LOAD_PATH.select { |d| d.start_with?('/') }.each do |dir|
  Dir.glob(File.join(dir, 'facter', '*.rb')).sort.each do |file|
    begin
      load file
    rescue SyntaxError => e
      Facter::ERRORS << e.message
    rescue StandardError => e
      Facter::ERRORS << e.message
      exit 12 if MAJOR < 3
    end
  end
end

# Of two files the first wins, in all of them and, between directories, in 4.x too.
external = {}
put = ->(name, value) { external[name.downcase] = value unless external.key?(name.downcase) }
external_dirs.each do |dir|
  Dir.children(dir).sort.each do |name|
    file = File.join(dir, name)
    next if name.start_with?('.') || !File.file?(file)
    case File.extname(name)
    when '.txt' then File.readlines(file).each { |l| put.($1, $2) if l.chomp =~ /^(.+?)=(.+)$/ }
    when '.json' then JSON.parse(File.read(file)).each { |k, v| put.(k, v) }
    when '.yaml' then require 'yaml'; YAML.safe_load(File.read(file)).each { |k, v| put.(k, v) }
    when '.bat', '.cmd', '.com', '.exe' then next
    else
      next unless File.executable?(file)
      `#{file}`.each_line { |l| put.($1, $2) if l.chomp =~ /^(.+?)=(.+)$/ }
    end
  end
end

out = Facter::FACTS.to_h { |k, v| [k, v.is_a?(Facter::Resolution) ? v.value : v] }.merge(external)
puts JSON.pretty_generate(out.compact)
exit 1 if MAJOR >= 4 && !Facter::ERRORS.empty?
